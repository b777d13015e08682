"""MagicDNS beside a real systemd-resolved: split names, the host's own stays, nothing is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mesh import REPOSITORY, needs_mesh
from tests.support.resolved_host import UPSTREAM_ANSWER

pytestmark = [pytest.mark.netns, needs_mesh()]


def package_root(directory: Path) -> Path:
    """Return where the files of systemd-resolved are: installed, or unpacked here for the test.

    It is not installed for the test, since that would change this machine's own resolver.
    """
    if Path("/lib/systemd/systemd-resolved").exists():
        return Path("/")
    if shutil.which("apt-get") is None or shutil.which("dbus-daemon") is None:
        pytest.skip("SKIPPED LOUDLY: no systemd-resolved, and no apt-get or dbus-daemon to run it")
    version = ["dpkg-query", "-W", "-f", "${Version}", "systemd"]
    installed = subprocess.run(version, capture_output=True, text=True, check=False).stdout
    wanted = f"systemd-resolved={installed}"
    fetched = subprocess.run(
        ["apt-get", "download", wanted], cwd=directory, capture_output=True, text=True, check=False
    )
    found = list(directory.glob("*.deb"))
    if not found:
        pytest.skip(f"SKIPPED LOUDLY: no package {wanted}: {fetched.stderr.strip()[-200:]}")
    root = directory / "root"
    subprocess.run(["dpkg", "-x", str(found[0]), str(root)], check=True)
    return root


def test_systemd_resolved_is_told_and_forgets(tmp_path: Path) -> None:
    root = package_root(tmp_path)
    command = [
        *("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child"),
        *(sys.executable, "-m", "tests.support.resolved_host", str(root), str(tmp_path / "state")),
    ]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "before": UPSTREAM_ANSWER,
        "trouble": "",
        "name": "100.64.0.2",
        "reverse": "web.tail.example.",
        "elsewhere": UPSTREAM_ANSWER,
        "searched": "100.64.0.2",
        "second_trouble": "",
        "second_name": "100.64.0.5",
        "first_beside_it": "100.64.0.2",
        # Nothing about the tailnet went to the resolver outside.
        "upstream_asked": ["www.example.net"],
        "after_close": UPSTREAM_ANSWER,
        "again": "100.64.0.2",
        "after_crash": UPSTREAM_ANSWER,
    }
