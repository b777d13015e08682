"""What a user is told when the local API does not answer."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from node.localapi.client import LocalApiError, ask_at

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(LocalApiError, match="wg9: not running"):
        ask_at(tmp_path / "sock", "wg9", "GET", "/state")


def test_daemon_that_does_not_answer_is_not_said_to_be_gone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        with pytest.raises(LocalApiError, match=r"wg9: runs, and does not answer in 0\.1 s"):
            ask_at(tmp_path / "sock", "wg9", "GET", "/state", timeout_s=0.1)


def test_socket_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: socket.socket, where: str) -> None:
        raise PermissionError(13, os.strerror(13), where)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(LocalApiError, match="wg9: is not yours"):
        ask_at(tmp_path / "sock", "wg9", "GET", "/state")
