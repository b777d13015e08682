"""`postern demo` proves what it says and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from node.demo.network import wait_until
from tests.support.mesh import REPOSITORY, needs_mesh

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, needs_mesh()]

COMMAND = [sys.executable, "-m", "node.cli", "demo"]


def left_of(process: int) -> list[str]:
    return sorted(path.name for path in Path("/run/netns").glob(f"pd{process}-*"))


def test_every_proof_holds_and_nothing_is_left() -> None:
    with subprocess.Popen(COMMAND, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as demo:
        output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    assert "FAIL" not in output
    assert output.count("\n  ok  ") == 27
    assert left_of(demo.pid) == []


@pytest.fixture
def room() -> Iterator[Path]:
    """Return a directory whose path leaves room for those of sockets: pytest's own is too long."""
    with tempfile.TemporaryDirectory(prefix="pd") as directory:
        yield Path(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_that_is_ended_leaves_nothing(number: signal.Signals, room: Path) -> None:
    environment = os.environ | {"TMPDIR": str(room)}
    with subprocess.Popen(
        COMMAND, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as demo:
        wait_until(lambda: any(room.glob("postern-demo-*/state-*/agent.sock")), "an agent", 120)
        assert left_of(demo.pid)
        demo.send_signal(number)
        demo.wait(60)
        # After a kill somebody else has to clean up.
        wait_until(lambda: left_of(demo.pid) == [], "no namespace is left", 60)
        wait_until(lambda: list(room.iterdir()) == [], "no file is left", 60)
    assert demo.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 1)
