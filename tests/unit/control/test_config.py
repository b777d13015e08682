"""Configuration: defaults, files, environment, and errors that name the key."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from control.config import ControlConfig, load_config, parse_duration
from control.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, text: str, name: str = "control.yaml") -> ControlConfig:
    path = tmp_path / name
    path.write_text(text)
    return load_config(path)


def test_defaults_are_good() -> None:
    assert load_config(None).listen_addr == "127.0.0.1:8080"


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    yaml = load(tmp_path, "node:\n  expiry: 180d\ndns:\n  nameservers:\n    global: [1.1.1.1]\n")
    toml = load(
        tmp_path,
        '[node]\nexpiry = "180d"\n[dns.nameservers]\nglobal = ["1.1.1.1"]\n',
        "control.toml",
    )
    assert yaml == toml
    assert yaml.node.expiry == timedelta(days=180)
    assert yaml.dns.nameservers.global_ == ("1.1.1.1",)


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERN_CONTROL_NODE__EXPIRY", "1h")
    monkeypatch.setenv("POSTERN_CONTROL_LISTEN_ADDR", "[::1]:1")
    config = load(tmp_path, "listen_addr: 127.0.0.1:2\nnode:\n  expiry: 2h\n")
    assert config.node.expiry == timedelta(hours=1)
    assert config.listen_addr == "[::1]:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nod:\n  expiry: 1h\n", "nod: Extra inputs"),
        ("node:\n  expiry: soon\n", "node.expiry: a duration"),
        ("node:\n  ephemeral:\n    inactivity_timeout: 65s\n", "more than 65s"),
        ("server_url: control.example\n", "server_url"),
        ("server_url: https://control.tailnet.internal\n", "holds the server's own name"),
        ("dns:\n  base_domain: tailnet\n", "a domain with a dot"),
        ("trusted_proxies: [0.0.0.0/0]\n", "would believe everybody"),
        ("prefixes:\n  v4: 10.0.0.0/8\n", "not inside 100.64.0.0/10"),
        ("prefixes:\n  v4: null\n  v6: null\n", "at least one"),
        ("policy:\n  mode: file\n", "needed in file mode"),
        ("tls:\n  cert_path: x\n", "both or neither"),
        ("derp:\n  urls: [relays.example.com]\n", "derp: urls: each a URL such as https://"),
        ("derp:\n  urls: ['https://a:b@relays.example.com/']\n", "without a password"),
        ("derp:\n  update_frequency: 0\n", "update_frequency: at least 1s"),
        ("- a\n", "keys and values expected"),
        ("a: [\n", "control.yaml"),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 7_776_000), ("1h30m", 5400), ("0", 0), (5, 5), ("1.5s", 1.5)]
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
