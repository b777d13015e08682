"""The command line without an interface to talk to."""

from __future__ import annotations

import io

import pytest

from node.cli import main
from node.cli.wg_show import render_show, span
from node.wireguard.keys import decode_key

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


def test_pubkey_reads_a_private_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(PRIVATE + "\n"))
    assert main(["wg", "pubkey"]) == 0
    assert capsys.readouterr().out == "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\n"


@pytest.mark.parametrize("action", ["genkey", "genpsk"])
def test_generated_keys_are_keys_and_differ(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["wg", action])
    main(["wg", action])
    first, second = capsys.readouterr().out.splitlines()
    assert len(decode_key(first)) == 32
    assert first != second


def test_bad_key_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("nope"))
    assert main(["wg", "pubkey"]) == 1
    assert capsys.readouterr().err.startswith("postern wg: a WireGuard key")


def test_interface_that_does_not_run_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.setenv("POSTERN_RUN_DIR", str(tmp_path_factory.mktemp("run")))
    assert main(["wg", "show", "wg9"]) == 1
    assert "wg9: not running" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (65, "1 minute, 5 seconds"),
        (3600, "1 hour"),
        (90061, "1 day, 1 hour, 1 minute, 1 second"),
    ],
)
def test_spans_are_written_as_wg_does(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_show_of_an_idle_peer() -> None:
    status = {
        "interface": "wg0",
        "public_key": "K=",
        "listen_port": 5,
        "fwmark": 16,
        "peers": [
            {
                "public_key": "P=",
                "has_preshared_key": True,
                "endpoint": None,
                "allowed_ips": [],
                "latest_handshake_ns": 0,
                "received_bytes": 0,
                "sent_bytes": 2048,
                "persistent_keepalive_s": 25,
            }
        ],
    }
    assert render_show(status).splitlines() == [
        "interface: wg0",
        "  public key: K=",
        "  private key: (hidden)",
        "  listening port: 5",
        "  fwmark: 0x10",
        "",
        "peer: P=",
        "  preshared key: (hidden)",
        "  allowed ips: (none)",
        "  transfer: 0 B received, 2.00 KiB sent",
        "  persistent keepalive: every 25 seconds",
    ]
