"""The 4via6 prefix, as the command prints it."""

from __future__ import annotations

import pytest

from node.cli.via import main


@pytest.mark.parametrize(
    ("site", "subnet", "prefix"),
    [
        ("7", "192.168.1.0/24", "fd7a:115c:a1e0:b1a:0:7:c0a8:100/120"),
        ("0xffff", "172.16.0.0/12", "fd7a:115c:a1e0:b1a:0:ffff:ac10:0/108"),
    ],
)
def test_prefix_is_printed(
    capsys: pytest.CaptureFixture[str], site: str, subnet: str, prefix: str
) -> None:
    assert main([site, subnet]) == 0
    assert capsys.readouterr().out == f"{prefix}\n"


@pytest.mark.parametrize(
    "arguments",
    [("65536", "10.0.0.0/8"), ("-1", "10.0.0.0/8"), ("x", "10.0.0.0/8"), ("7", "10.0.0.1/8")],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        main(list(arguments))
    assert "usage" in capsys.readouterr().err
