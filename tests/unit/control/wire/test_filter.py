"""Packet filters: rules in named lists, and failing closed."""

from __future__ import annotations

from typing import Any

from control.wire import MapResponse
from control.wire.filter import combined, filter_origins, updated, with_filter_origins
from engine.rules import ALL_PORTS, FilterRule, NetPortRange, Origin

ALLOW_ALL = FilterRule(src_ips=("*",), dst_ports=(NetPortRange("*", ALL_PORTS),))
TO_WEB = FilterRule(src_ips=("100.64.0.9",), dst_ports=(NetPortRange("100.64.0.20", ALL_PORTS),))


def read(rules: list[dict[str, Any]]) -> tuple[FilterRule, ...] | None:
    return MapResponse.from_json({"PacketFilter": rules}).packet_filter


def test_rules_round_trip() -> None:
    wire = MapResponse(packet_filters={"base": (ALLOW_ALL, TO_WEB), "gone": None}).to_json()
    assert MapResponse.from_json(wire).packet_filters == {
        "base": (ALLOW_ALL, TO_WEB),
        "gone": None,
    }


def test_malformed_rule_is_dropped_alone() -> None:
    assert read([{"SrcIPs": 7}, TO_WEB.to_wire(), {"DstPorts": [{"IP": "*"}]}]) == (TO_WEB,)


def test_legacy_fields_void_the_whole_filter() -> None:
    legacy_source = {**ALLOW_ALL.to_wire(), "SrcBits": [32]}
    legacy_destination = {
        "SrcIPs": ["*"],
        "DstPorts": [{"IP": "*", "Bits": 0, "Ports": {"First": 0, "Last": 1}}],
    }
    assert read([ALLOW_ALL.to_wire(), legacy_source]) == ()
    assert read([ALLOW_ALL.to_wire(), legacy_destination]) == ()


def test_plain_filter_sets_the_base_list() -> None:
    assert updated({"other": (TO_WEB,)}, (ALLOW_ALL,), None) == {
        "other": (TO_WEB,),
        "base": (ALLOW_ALL,),
    }


def test_null_deletes_one_list() -> None:
    assert updated({"a": (TO_WEB,), "b": ()}, None, {"a": None}) == {"b": ()}


def test_star_with_null_deletes_all_before_the_rest_applies() -> None:
    held = {"a": (TO_WEB,), "b": ()}
    assert updated(held, None, {"c": (ALLOW_ALL,), "*": None}) == {"c": (ALLOW_ALL,)}


def test_empty_map_changes_nothing() -> None:
    held = {"a": (TO_WEB,)}
    assert updated(held, None, {}) == held


def test_update_leaves_the_old_lists_alone() -> None:
    held = {"a": (TO_WEB,)}
    updated(held, (), {"*": None})
    assert held == {"a": (TO_WEB,)}


def test_lists_are_joined_in_order_of_name() -> None:
    assert combined({"b": (TO_WEB,), "a": (ALLOW_ALL,)}) == (ALLOW_ALL, TO_WEB)


def test_origins_of_a_list_change_alone() -> None:
    moved = FilterRule(TO_WEB.src_ips, TO_WEB.dst_ports, origins=(Origin("acls", 0, 9),))
    held = {"base": (ALLOW_ALL, TO_WEB), "more": (TO_WEB,)}
    after = with_filter_origins(held, {"base": filter_origins((ALLOW_ALL, moved))})
    assert after == held
    assert [rule.origins for rule in after["base"]] == [(), moved.origins]
    assert after["more"][0].origins == ()


def test_origins_that_fit_no_list_change_nothing() -> None:
    held = {"base": (TO_WEB,)}
    odd: list[dict[str, Any]] = [{"base": [[], []]}, {"base": 7}, {"more": [[["acls", 0, 9, 1]]]}]
    for news in odd:
        assert with_filter_origins(held, news)["base"][0].origins == ()
