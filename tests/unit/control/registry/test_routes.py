"""Approved routes: the policy's word and a person's are kept apart."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from control.registry.routes import after_report, approved_by_person, new_owner
from control.wire import Hostinfo
from tests.support.records import node_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.store.records import NodeRecord
    from control.wire import Prefix

ONE, TWO = "10.1.0.0/16", "10.2.0.0/16"


def prefixes(texts: Iterable[str]) -> tuple[Prefix, ...]:
    return tuple(ip_network(text) for text in texts)


def node(
    advertised: Iterable[str], approved: Iterable[str] = (), by_policy: Iterable[str] = ()
) -> NodeRecord:
    return node_record(
        hostinfo=Hostinfo({"RoutableIPs": list(advertised)}),
        approved_routes=prefixes(approved),
        policy_routes=prefixes(by_policy),
    )


def texts(record: NodeRecord) -> tuple[list[str], list[str]]:
    return [str(r) for r in record.approved_routes], [str(r) for r in record.policy_routes]


def everything(_node: NodeRecord, routes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    return tuple(routes)


def nothing(_node: NodeRecord, _routes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    return ()


@pytest.mark.parametrize(
    ("before", "now", "approved", "expected"),
    [
        # Advertised before a later policy that would approve it: not asked about.
        ([ONE], [ONE, TWO], [], ([TWO], [TWO])),
        # Withdrawn and advertised again: asked about again.
        ([], [ONE], [], ([ONE], [ONE])),
        # Approved and withdrawn: stays approved.
        ([ONE], [], [ONE], ([ONE], [])),
        # Approved by a person before it was advertised: stays theirs.
        ([], [ONE], [ONE], ([ONE], [])),
    ],
)
def test_policy_is_asked_about_what_is_advertised_anew(
    before: list[str], now: list[str], approved: list[str], expected: tuple[list[str], list[str]]
) -> None:
    old = node(before, approved)
    new = replace(old, hostinfo=Hostinfo({"RoutableIPs": now}))
    assert texts(after_report(old, new, everything)) == expected


def test_what_a_person_approved_is_no_longer_the_policys() -> None:
    held = node([ONE, TWO], [ONE, TWO], [ONE, TWO])
    chosen = approved_by_person(held, prefixes([TWO]))
    assert texts(chosen) == ([TWO], [])
    # Nor does another owner lose it.
    assert new_owner(chosen, nothing) == chosen


def test_new_owner_gets_what_the_policy_gives_them() -> None:
    held = node([ONE, TWO], [ONE, TWO], [TWO])
    assert texts(new_owner(held, nothing)) == ([ONE], [])
    assert texts(new_owner(held, everything)) == ([ONE, TWO], [TWO])
