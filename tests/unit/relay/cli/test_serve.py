"""`postern relay serve`: settings, and one life from start to SIGTERM."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relay.cli import main

if TYPE_CHECKING:
    from pathlib import Path

RUN = [sys.executable, "-c", "import sys; from relay.cli import main; sys.exit(main())"]
MESH = ["--plain", "--admit-everyone", "--mesh-psk-file", "{directory}/psk"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--plain"], "exactly one of"),
        (["--plain", "--admit-everyone", "--verify-client-url", "http://x"], "exactly one of"),
        (["--admit-everyone"], "TLS needs"),
        (["--admit-everyone", "--self-signed"], "needs --hostname"),
        (["--plain", "--admit-everyone", "--mesh-with", "a"], "needs --mesh-psk-file"),
        (["--plain", "--admit-everyone", "--listen", "nowhere"], "expected HOST:PORT"),
        ([*MESH, "--mesh-with", "a:443=sha256-raw:12"], "sha256-raw:HEX"),
        (["--plain", "--admit-everyone", "--mesh-psk-file", "/nonexistent"], "/nonexistent"),
    ],
)
def test_unusable_settings_are_explained(
    flags: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "psk").write_text("ab" * 32)
    flags = [flag.format(directory=tmp_path) for flag in flags]
    status = main(["serve", "--key-file", str(tmp_path / "key.json"), *flags])
    assert status == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "not a JSON object"),
        (
            '{"PerClientRateLimitBytesPerSec": 1000, "PerClientRateBurstBytes": 10}',
            "at least 65568",
        ),
        ('{"PerClientRateLimitBytesPerSec": "1"}', "whole numbers"),
    ],
)
def test_unusable_rates_are_explained(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = tmp_path / "rates.json"
    rates.write_text(text)
    flags = ["--plain", "--admit-everyone", "--rate-config", str(rates)]
    assert main(["serve", "--key-file", str(tmp_path / "key.json"), *flags]) == 2
    assert complaint in capsys.readouterr().err


def test_broken_key_file_is_explained_without_its_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file = tmp_path / "key.json"
    key_file.write_text('{"PrivateKey": "privkey:beef"}')
    assert main(["serve", "--key-file", str(key_file), "--plain", "--admit-everyone"]) == 2
    error = capsys.readouterr().err
    assert "not a server key file" in error
    assert "beef" not in error


def pin_of_a_start(tmp_path: Path, hostname: str) -> tuple[str, str]:
    """Run a self-signed relay for a moment; return the pin it told and what else it said."""
    flags = ["--admit-everyone", "--listen", "127.0.0.1:0", "--stun-port", "-1", "--drain", "0"]
    flags += ["--http-port", "-1", "--self-signed", "--hostname", hostname]
    server = subprocess.Popen(
        [*RUN, "serve", "--key-file", str(tmp_path / "relay.json"), *flags],
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    with server:
        assert server.stderr is not None
        while "serving on" not in said:
            line = server.stderr.readline()
            assert line, said
            said += line
        server.send_signal(signal.SIGTERM)
    [pin] = re.findall(r"sha256-raw:[0-9a-f]{64}", said)
    return pin, said


def test_self_signed_certificate_survives_a_restart(tmp_path: Path) -> None:
    first, said = pin_of_a_start(tmp_path, "192.0.2.1")
    assert "must be told" not in said
    assert (tmp_path / "relay.pem").stat().st_mode & 0o777 == 0o600
    assert pin_of_a_start(tmp_path, "192.0.2.1")[0] == first
    other, said = pin_of_a_start(tmp_path, "relay.example")
    assert other != first
    assert "must be told" in said


def test_foreign_file_in_the_place_of_the_certificate_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "relay.pem").write_text("notes")
    flags = ["--admit-everyone", "--self-signed", "--hostname", "x"]
    assert main(["serve", "--key-file", str(tmp_path / "relay.json"), *flags]) == 2
    assert "Move the file away" in capsys.readouterr().err
    assert (tmp_path / "relay.pem").read_text() == "notes"


def test_serves_until_told_to_stop(tmp_path: Path) -> None:
    key_file = tmp_path / "key.json"
    flags = ["--plain", "--admit-everyone", "--listen", "127.0.0.1:0", "--stun-port", "0"]
    server = subprocess.Popen(
        [*RUN, "serve", "--key-file", str(key_file), *flags, "--drain", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stderr is not None
        line = server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        rest = server.stderr.read()
    assert re.search(r"serving on 127\.0\.0\.1:0 as [0-9a-f]{64}", line)
    assert "moving clients away" in rest
    assert server.returncode == 0
    assert json.loads(key_file.read_text())["PrivateKey"].startswith("privkey:")
    assert key_file.stat().st_mode & 0o777 == 0o600
