"""Reports: what they change, and what they can never erase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from control.keys import DiscoPublic
from control.registry.reports import absorbed
from control.wire import Hostinfo, MapRequest
from tests.support.records import node_record

if TYPE_CHECKING:
    from control.store.records import NodeRecord


def report(**values: Any) -> NodeRecord:
    node = node_record(hostinfo=Hostinfo({"NetInfo": {"PreferredDERP": 900}}))
    return absorbed(node, MapRequest(version=113, **values), 113)


def test_empty_report_is_the_same_record() -> None:
    node = node_record()
    assert absorbed(node, MapRequest(version=113), 113) is node


def test_zero_disco_key_does_not_replace_a_known_one() -> None:
    assert report(disco_key=DiscoPublic.zero()).disco_key == node_record().disco_key


def test_missing_network_details_stay() -> None:
    changed = report(hostinfo=Hostinfo({"OS": "linux"}))
    assert changed.home_derp == 900
    assert changed.hostinfo.raw == {"OS": "linux", "NetInfo": {"PreferredDERP": 900}}


def test_home_relay_follows_the_report() -> None:
    changed = report(hostinfo=Hostinfo({"NetInfo": {"PreferredDERP": 901}}))
    assert changed.home_derp == 901


@pytest.mark.parametrize(
    ("endpoints", "kept"),
    [(None, ["192.0.2.1:41641"]), ((), []), (("198.51.100.1:1", "x"), ["198.51.100.1:1"])],
)
def test_endpoints_are_replaced_only_when_said(
    endpoints: tuple[str, ...] | None, kept: list[str]
) -> None:
    assert [str(endpoint) for endpoint in report(endpoints=endpoints).endpoints] == kept


def test_newest_capability_version_counts() -> None:
    assert absorbed(node_record(), MapRequest(version=120), 145).capability_version == 145
