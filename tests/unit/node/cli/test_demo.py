"""What the demo says where it cannot run."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from node.cli import demo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("why", "offers"),
    [
        ("needs root, or a user namespace of its own", True),
        ("network namespaces are not permitted here: Operation not permitted", True),
        ("needs ip and nft: install iproute2, nftables and iputils-ping", False),
        ("network namespaces need Linux", False),
    ],
)
def test_unshare_is_offered_where_it_would_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str, *, offers: bool
) -> None:
    monkeypatch.setattr(demo, "why_not", lambda: why)
    assert demo.main([]) == 1
    err = capsys.readouterr().err
    assert f"postern demo: {why}" in err
    assert ("unshare --user --map-root-user --net" in err) is offers


def test_room_without_room_for_sockets_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "why_not", lambda: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 60)))
    assert demo.main([]) == 1
    assert "run it with TMPDIR=/tmp" in capsys.readouterr().err
