"""The systemd units: systemd itself reads them without complaint and finds them well closed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "packaging/systemd").glob("*.service"))
MOST_EXPOSED = 3.0
"""Of ten: systemd calls everything below five well protected."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="SKIPPED LOUDLY: no systemd-analyze"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


def test_there_are_units() -> None:
    assert len(UNITS) == 4


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_read_without_complaint(unit: Path) -> None:
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_gives_away_little(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= MOST_EXPOSED
