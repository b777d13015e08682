"""What the demo says where it cannot run."""

from __future__ import annotations

import pytest

from node.cli import demo


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
