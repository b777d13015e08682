"""What a scope grants."""

from __future__ import annotations

import pytest

from control.operations.oauth import SCOPES, covers


@pytest.mark.parametrize(
    ("held", "wanted", "granted"),
    [
        ("users", "users", True),
        ("users", "users:read", True),
        ("users:read", "users", False),
        ("all", "devices:core", True),
        ("all", "devices:core:read", True),
        ("all:read", "devices:core:read", True),
        ("all:read", "devices:core", False),
        ("devices:core", "devices:routes", False),
        ("devices:core", "devices:core:read", True),
        ("devices:core:read", "devices:routes:read", False),
        ("", "users:read", False),
    ],
)
def test_scope_grants_itself_and_looking(held: str, wanted: str, *, granted: bool) -> None:
    assert covers(frozenset({held} - {""}), wanted) is granted


def test_nothing_is_granted_to_nobody_and_everything_by_all() -> None:
    for scope in SCOPES:
        assert not covers(frozenset(), scope)
        assert covers(frozenset({"all"}), scope)
