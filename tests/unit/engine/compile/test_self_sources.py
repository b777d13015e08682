from __future__ import annotations

import pytest

from engine.compile.self_sources import SelfSources
from engine.resolve.selectors import Resolver
from policy.model.selectors import parse_selector
from tests.support.small_tailnet import ADA, BEN, SHOP, SLATE, TOWER, device, directory, policy

LENT = device("lent", 30, user=ADA, tags=["tag:shop"])
LINUX = device("linux", 31, user=ADA, postureAttributes={"node:os": "linux"})


@pytest.mark.parametrize(
    ("src", "login", "expected"),
    [
        (["*"], ADA, (0, 1)),
        (["autogroup:member"], ADA, (0, 1)),
        (["group:two"], ADA, (0, 1)),
        ([ADA], ADA, (0, 1)),
        ([BEN], ADA, ()),
        (["tag:shop"], ADA, ()),
        ([ADA], "nobody@mesh.test", ()),
    ],
)
def test_sources_are_the_users_own_untagged_devices(
    src: list[str], login: str, expected: tuple[int, ...]
) -> None:
    assert nodes(src, (), login) == expected


def test_devices_that_fail_a_posture_are_left_out() -> None:
    assert nodes(["*"], ("posture:linux",), ADA) == ()
    assert nodes(["*"], ("posture:linux",), ADA, LINUX) == (4,)


def nodes(
    src: list[str], postures: tuple[str, ...], login: str, *more: dict[str, object]
) -> tuple[int, ...]:
    found = policy(
        groups={"group:two": [ADA, BEN]}, postures={"posture:linux": ["node:os == 'linux'"]}
    )
    sources = SelfSources(Resolver(found, directory(SLATE, TOWER, LENT, SHOP, *more)))
    selectors = tuple(s for s in map(parse_selector, src) if s is not None)
    return sources.nodes(selectors, postures, login)
