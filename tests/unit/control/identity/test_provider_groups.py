"""Groups of the identity provider in the policy's spelling."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.identity.provider_groups import MAX_GROUPS, provider_groups


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (["eng", "ops"], ("eng@x.example", "ops@x.example")),
        ("eng", ("eng@x.example",)),
        (["eng@y.example"], ("eng@y.example",)),
        (["/eng/core", "group:eng"], ("eng/core@x.example", "eng@x.example")),
        (["eng", "eng"], ("eng@x.example",)),
        (["", " ", "@x", 7, None, {}, "x" * 257], ()),
        (None, ()),
        ({"eng": True}, ()),
    ],
)
def test_names_get_the_domain(claim: Any, groups: tuple[str, ...]) -> None:
    assert provider_groups(claim, "x.example") == groups


def test_number_is_bounded() -> None:
    assert len(provider_groups([str(n) for n in range(MAX_GROUPS + 5)], "x")) == MAX_GROUPS


@given(st.recursive(st.none() | st.text() | st.integers(), lambda s: st.lists(s, max_size=5)))
def test_every_group_has_a_domain_whatever_the_claim(claim: Any) -> None:
    assert all(name.partition("@")[0] and "@" in name for name in provider_groups(claim, "x"))
