"""Whatever comes in, an answer comes out: in bounded time and memory, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path

_MEMORY_BYTES = 1 << 30
_CPU_S = 60
_NOBODY = 65534
_PLACE = re.compile(r":\d+:\d+: \w+\[POL\d{3}\] ")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))


def _run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process with little memory and time."""
    return subprocess.run(
        [sys.executable, "-m", "policy.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        preexec_fn=_limit,
    )


def _check(data: bytes) -> tuple[int, str]:
    """Check a text; return the exit code and what was said, which must be well-behaved."""
    ran = _run("check", "-", "--output-format", "concise", stdin=data)
    told = ran.stdout.decode()
    assert ran.stderr == b""
    findings = [line for line in told.splitlines() if "[POL" in line]
    assert all(_PLACE.search(line) for line in findings)
    return ran.returncode, told


def _acl(src: str = "*", dst: str = "*:*", **more: object) -> dict[str, object]:
    rule = {"action": "accept", "src": [src], "dst": [dst]}
    return {"acls": [rule], **more}


_REFUSED = {
    "empty": (b"", "POL102"),
    "cut-off-object": (b'{"acls": [{"action": "acc', "POL102"),
    "cut-off-comment": (b"{} /* what", "POL102"),
    "cut-off-line-comment": (b"{} // what", "POL102"),
    "utf-16": ('{"acls": []}'.encode("utf-16"), "POL10"),
    "utf-8-with-mark": (b"\xef\xbb\xbf{}", "POL101"),
    "latin-1": (b'{"groups": {"group:caf\xe9": []}}', "POL10"),
    "latin-1-comment": (b"{} // caf\xe9\n", "POL104"),
    "null-bytes": (b"\x00" * 1000, "POL101"),
    "null-in-string": (b'{"a\x00": 1}', "POL10"),
    "binary": (bytes(range(256)) * 64, "POL10"),
    "not-an-object": (b"[]", "POL201"),
    "bare-word": (b"policy", "POL103"),
    "yaml": (b"acls:\n  - action: accept\n", "POL10"),
    "deep-arrays": (b"[" * 10_001 + b"]" * 10_001, "POL106"),
    "deep-objects": (b'{"a":' * 10_001 + b"1" + b"}" * 10_001, "POL106"),
    "deep-in-a-section": (b'{"acls": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", "POL201"),
    "16-mib-of-brackets": (b"[" * (16 << 20), "POL106"),
    "17-mib": (b"{}" + b" " * (17 << 20), "POL107"),
    "one-long-string": (b'"' + b"x" * (1 << 20), "POL102"),
    "many-quotes": (b'"' * 100_001, "POL10"),
    "huge-number": (b'{"acls": ' + b"9" * 100_000 + b"}", "POL201"),
    "huge-exponent": (b'{"derpMap": {"regions": {"1": {"regionID": 1e999999}}}}', "POL201"),
    "huge-port": (json.dumps(_acl(dst="*:" + "9" * 100_000)).encode(), "POL220"),
    "huge-region": (json.dumps({"derpMap": {"regions": {"1" * 9_000: {}}}}).encode(), ""),
    "many-ports": (json.dumps(_acl(dst="*:" + "80-79," * 10_000)).encode(), "POL220"),
    "huge-duration": (
        json.dumps(
            {"ssh": [{"action": "check", "users": ["x"], "checkPeriod": "9" * 50_000 + "h"}]}
        ).encode(),
        "POL224",
    ),
    "cyclic-ipsets": (
        b'{"ipsets": {"ipset:a": ["ipset:b"], "ipset:b": ["ipset:c"], "ipset:c": ["ipset:a"]}}',
        "POL307",
    ),
    "self-containing-ipset": (b'{"ipsets": {"ipset:a": ["ipset:a"]}}', "POL307"),
    "long-cycle-of-ipsets": (
        json.dumps(
            {"ipsets": {f"ipset:{i}": [f"ipset:{(i + 1) % 5000}"] for i in range(5000)}}
        ).encode(),
        "POL307",
    ),
    "unknown-fields": (b'{"acl": [], "ACLS": [], "acls": []}', "POL20"),
    "escaped-names": (b'{"\\u0061cls": 1}', "POL201"),
    "broken-escape": (b'{"a": "\\ud800\\"}', "POL10"),
    "every-line-broken": (b"{]\n" * 50_000, "POL10"),
}


@pytest.mark.parametrize(("data", "code"), _REFUSED.values(), ids=_REFUSED)
def test_a_bad_text_is_refused_with_line_and_column(data: bytes, code: str) -> None:
    exit_code, told = _check(data)
    if code:
        assert exit_code == 1
        assert f"error[{code}" in told
    else:
        assert exit_code in {0, 1}


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8"], ids=["v4/0", "v6/0", "/8", "v6/8"]
)
def test_a_large_network_is_never_spelt_out(network: str) -> None:
    text = json.dumps(
        _acl(
            src="everything",
            dst="ipset:most:*",
            hosts={"everything": network},
            ipsets={"ipset:most": ["add everything", "remove 10.9.8.7"]},
        )
    )
    exit_code, told = _check(text.encode())
    assert exit_code == 0, told


@pytest.mark.parametrize("output_format", ["full", "json", "sarif", "junit", "github"])
def test_findings_on_a_line_of_megabytes_can_be_shown(output_format: str) -> None:
    members = b",".join(b'"x%d": %60d' % (i, i) for i in range(20_000))
    ran = _run("check", "-", "-f", output_format, stdin=b"{" + members + b"}")
    assert ran.returncode == 1
    assert ran.stderr == b""


@pytest.mark.parametrize("command", ["check", "fmt", "test"])
def test_100_mb_of_brackets_are_refused_unread(command: str) -> None:
    ran = _run(command, "-", stdin=b"[" * 100_000_000)
    assert ran.returncode == 1
    assert b"POL107" in ran.stdout + ran.stderr
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("command", ["check", "test", "fmt"])
@pytest.mark.parametrize("path", ["missing.hujson", ".", "/proc/self/mem", "x" * 5000])
def test_a_file_that_cannot_be_read_is_told_in_one_line(command: str, path: str) -> None:
    ran = _run(command, path)
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"policy: ")
    assert ran.stderr.count(b"\n") == 1


def test_a_file_that_may_not_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.hujson"
    path.touch(0)
    run_policy("check", "-", stdin=b"{}")  # imports what root alone may be able to read
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        ran = run_policy("check", path)
    finally:
        os.seteuid(user)
    assert ran.code == 2
    assert ran.stderr == f"policy: {path}: Permission denied\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"users": 1}',
        b"\xff\xfe",
        b'{"devices": [{"hostname": "a", "addresses": ["1.2.3"]}]}',
        b'{"devices": [{"hostname": "a", "created": "yesterday"}]}',
        b'{"devices": [{"hostname": "a", "advertisedRoutes": ["10.0.0.0/99"]}]}',
        b'{"devices": [' + b"[" * 200_000,
    ],
    ids=["empty", "cut", "array", "type", "bytes", "address", "time", "route", "deep"],
)
def test_a_bad_inventory_is_told_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "i.json"
    path.write_bytes(data)
    ran = _run("check", "-", "--inventory", path, stdin=b"{}")
    assert ran.returncode == 2
    assert ran.stdout == b""
    assert ran.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"tests": [{"src": 1}]}', b"\x00", b"[" * 20_000], ids=repr
)
def test_a_bad_suite_is_refused_with_line_and_column(tmp_path: Path, data: bytes) -> None:
    suite = tmp_path / "x.test.hujson"
    suite.write_bytes(data)
    ran = _run("test", "-", suite, "-f", "concise", stdin=b"{}")
    assert ran.returncode == 1
    assert _PLACE.search(ran.stdout.decode())
    assert b"Traceback" not in ran.stderr
