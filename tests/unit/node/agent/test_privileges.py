"""Privileges given up in a process of its own: they cannot be had back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from node.agent.privileges import KEPT

SCRIPT = """
import subprocess
from node.agent.privileges import give_up_privileges
give_up_privileges()
give_up_privileges()
print(open("/proc/self/status").read())
print(subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_neither_the_agent_nor_what_it_starts_has_more_than_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines() if ":" in line]
    for name in ("CapEff:", "CapPrm:", "CapBnd:"):
        found = [int(fields[1], 16) for fields in lines if fields[0] == name]
        assert len(found) == 2
        assert all(mask & ~KEPT == 0 for mask in found), name
    assert [fields[1] for fields in lines if fields[0] == "NoNewPrivs:"] == ["1", "1"]
