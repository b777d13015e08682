"""`postern demo` proves what it says and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mesh import REPOSITORY, needs_mesh

pytestmark = [pytest.mark.netns, needs_mesh()]

COMMAND = [sys.executable, "-m", "node.cli", "demo"]


def left_of(process: int) -> list[str]:
    return sorted(path.name for path in Path("/run/netns").glob(f"pd{process}-*"))


def test_every_proof_holds_and_nothing_is_left() -> None:
    with subprocess.Popen(COMMAND, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as demo:
        output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    assert "FAIL" not in output
    assert output.count("\n  ok  ") == 25
    assert left_of(demo.pid) == []


def test_interrupted_demo_takes_everything_down() -> None:
    with subprocess.Popen(
        COMMAND, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "all 5 joined" in line:
                break
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert left_of(demo.pid) == []
