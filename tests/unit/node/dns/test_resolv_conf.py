"""The host's resolver file, there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from node.dns.resolv_conf import ResolvConf, nameservers, resolv_conf_text

if TYPE_CHECKING:
    from pathlib import Path

OLD = "nameserver 192.0.2.53\nsearch lan\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "resolv.conf"
    made.write_text(OLD)
    return made


def test_file_is_set_and_restored(path: Path) -> None:
    held = ResolvConf(path)
    held.point_here(("tail.example",))
    assert path.read_text() == resolv_conf_text(("tail.example",))
    held.restore()
    assert path.read_text() == OLD
    assert list(path.parent.iterdir()) == [path]


def test_crashed_run_is_made_good(path: Path) -> None:
    ResolvConf(path).point_here(())
    ResolvConf(path).recover()
    assert path.read_text() == OLD


def test_second_writing_does_not_lose_the_first_copy(path: Path) -> None:
    held = ResolvConf(path)
    held.point_here(("a.example",))
    held.point_here(("b.example",))
    held.restore()
    assert path.read_text() == OLD


def test_what_others_wrote_meanwhile_is_left_alone(path: Path) -> None:
    held = ResolvConf(path)
    held.point_here(())
    path.write_text("nameserver 198.51.100.1\n")
    held.restore()
    assert path.read_text() == "nameserver 198.51.100.1\n"


def test_own_resolvers_are_those_of_the_copy(path: Path) -> None:
    held = ResolvConf(path)
    held.point_here(())
    assert held.host_resolvers() == ("192.0.2.53",)


def test_ourselves_are_no_upstream() -> None:
    text = "# x\nnameserver 100.100.100.100\nnameserver 9.9.9.9\nnameserver nine\nnameserver\n"
    assert nameservers(text) == ("9.9.9.9",)
