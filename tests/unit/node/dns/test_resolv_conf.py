"""The host's resolver file, there and back."""

from __future__ import annotations

import os
import resource
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from node.dns.resolv_conf import ResolvConf, nameservers, recover, resolv_conf_text
from node.state.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = "nameserver 192.0.2.53\nsearch lan\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "etc" / "resolv.conf"
    made.parent.mkdir()
    made.write_text(OLD)
    return made


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(tmp_path / "state")
    directory.create()
    return directory


def test_file_is_set_and_restored(path: Path, state: StateDirectory) -> None:
    held = ResolvConf(path, state)
    held.point_here(("tail.example",))
    assert path.read_text() == resolv_conf_text(("tail.example",))
    # A hardened service may write this one file, nothing beside it.
    assert list(path.parent.iterdir()) == [path]
    held.restore()
    assert path.read_text() == OLD
    assert list(state.path.iterdir()) == []


def test_crashed_run_is_made_good(path: Path, state: StateDirectory) -> None:
    ResolvConf(path, state).point_here(())
    assert recover(state) == path
    assert path.read_text() == OLD
    assert recover(state) is None


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow: every write fails, while files can still be emptied."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_that_fails_leaves_a_file_that_can_be_put_back(
    path: Path, state: StateDirectory
) -> None:
    ResolvConf(path, state).point_here(())
    with full_disk(), pytest.raises(OSError, match="large"):
        recover(state)
    assert path.read_text() == resolv_conf_text(())
    assert recover(state) == path
    assert path.read_text() == OLD


def test_crash_between_writing_and_cutting_to_length_is_made_good(
    path: Path, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(OLD + "# a comment that makes this longer than ours\n" * 9)
    long = path.read_text()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("os.ftruncate", crash)
        with pytest.raises(KeyboardInterrupt):
            ResolvConf(path, state).point_here(())
        assert path.read_text().rstrip("\n") == resolv_conf_text(()).rstrip("\n")
    assert recover(state) == path
    assert path.read_text() == long


def test_file_that_was_not_there_can_be_read_by_everybody(
    path: Path, state: StateDirectory
) -> None:
    path.unlink()
    umask = os.umask(0o077)
    try:
        ResolvConf(path, state).point_here(())
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    recover(state)
    assert not path.exists()


def test_crash_before_the_file_was_written_leaves_it(path: Path, state: StateDirectory) -> None:
    state.write("resolver.json", {"path": str(path), "text": "nameserver 192.0.2.99\n"})
    recover(state)
    assert path.read_text() == OLD


def test_second_writing_does_not_lose_the_first_copy(path: Path, state: StateDirectory) -> None:
    held = ResolvConf(path, state)
    held.point_here(("a.example",))
    held.point_here(("b.example",))
    held.restore()
    assert path.read_text() == OLD


def test_what_others_wrote_meanwhile_is_left_alone(path: Path, state: StateDirectory) -> None:
    held = ResolvConf(path, state)
    held.point_here(())
    path.write_text("nameserver 198.51.100.1\n")
    assert held.host_resolvers() == ("198.51.100.1",)
    held.restore()
    assert path.read_text() == "nameserver 198.51.100.1\n"


def test_what_others_wrote_is_kept_when_overruled(path: Path, state: StateDirectory) -> None:
    held = ResolvConf(path, state)
    held.point_here(())
    path.write_text("nameserver 198.51.100.1\n")
    held.point_here(())
    held.restore()
    assert path.read_text() == "nameserver 198.51.100.1\n"


def test_host_without_a_file_has_none_afterwards(path: Path, state: StateDirectory) -> None:
    path.unlink()
    held = ResolvConf(path, state)
    held.point_here(())
    assert held.host_resolvers() == ()
    held.restore()
    assert not path.exists()


def test_own_resolvers_are_those_of_the_copy(path: Path, state: StateDirectory) -> None:
    held = ResolvConf(path, state)
    held.point_here(())
    assert held.host_resolvers() == ("192.0.2.53",)


def test_ourselves_are_no_upstream() -> None:
    text = "# x\nnameserver 100.100.100.100\nnameserver 9.9.9.9\nnameserver nine\nnameserver\n"
    assert nameservers(text) == ("9.9.9.9",)
