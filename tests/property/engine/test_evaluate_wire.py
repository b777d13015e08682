"""Filter rules on the wire: nothing is lost, and no JSON value makes reading crash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluate import FilterEvaluator, Flow, PeerCapabilities, packet_filter_matches
from engine.netset import AddressError, AddressRange, IpSet
from engine.rules import CapGrant, FilterRule, MalformedRuleError, NetPortRange, PortRange
from tests.support.filters import BLOCKS, HOSTS

texts = st.sampled_from([*HOSTS, *BLOCKS, "*"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
port_ranges = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(
    lambda pair: PortRange(min(pair), max(pair))
)
cap_grants = st.builds(
    CapGrant,
    dsts=st.lists(texts, max_size=3).map(tuple),
    cap_map=st.dictionaries(st.text(), st.none() | st.lists(json_values, max_size=2), max_size=3),
)
rules = st.builds(
    FilterRule,
    src_ips=st.lists(texts, max_size=4).map(tuple),
    dst_ports=st.lists(st.builds(NetPortRange, texts, port_ranges), max_size=4).map(tuple),
    ip_proto=st.none() | st.lists(st.integers(0, 255), min_size=1, max_size=3).map(tuple),
    cap_grants=st.lists(cap_grants, max_size=2).map(tuple),
)


def near_wire(name: str) -> st.SearchStrategy[object]:
    """Values of the right shape at one key, for the readers behind it to be reached."""
    port = st.integers(-1, 65536) | json_values
    shapes: dict[str, st.SearchStrategy[object]] = {
        "SrcIPs": st.lists(texts | st.text(), max_size=3),
        "IPProto": st.lists(st.integers(-1, 256) | json_values, max_size=3),
        "DstPorts": st.lists(
            st.fixed_dictionaries(
                {
                    "IP": texts | st.text() | json_values,
                    "Ports": st.fixed_dictionaries({"First": port, "Last": port}),
                }
            ),
            max_size=3,
        ),
        "CapGrant": st.lists(
            st.fixed_dictionaries(
                {
                    "Dsts": st.lists(texts | st.text(), max_size=2),
                    "CapMap": st.dictionaries(st.text(), json_values, max_size=2) | json_values,
                },
                optional={"Caps": st.lists(st.text(), max_size=2) | json_values},
            ),
            max_size=2,
        ),
    }
    return shapes[name] | json_values


wires = st.fixed_dictionaries(
    {}, optional={name: near_wire(name) for name in ("SrcIPs", "IPProto", "DstPorts", "CapGrant")}
)


@given(rules)
def test_rules_survive_the_wire(rule: FilterRule) -> None:
    assert FilterRule.from_wire(json.loads(json.dumps(rule.to_wire()))) == rule


@given(json_values | wires)
def test_any_json_is_a_rule_or_malformed(wire: object) -> None:
    try:
        rule = FilterRule.from_wire(wire)
    except MalformedRuleError:
        return
    assert FilterRule.from_wire(rule.to_wire()) == rule
    try:
        evaluator = FilterEvaluator([rule])
        PeerCapabilities([rule])
        packet_filter_matches([rule])
    except MalformedRuleError:
        return
    assert evaluator.decide(Flow.of("100.64.0.9", "100.64.0.20", 6, 443)).reason.value


@given(rules)
def test_the_parsed_form_holds_the_same_addresses(rule: FilterRule) -> None:
    (parsed,) = packet_filter_matches([rule])
    assert IpSet.of(*parsed["Srcs"]) == IpSet.of(*rule.src_ips)
    assert IpSet.of(*(d["Net"] for d in parsed["Dsts"])) == IpSet.of(
        *(d.ip for d in rule.dst_ports)
    )
    assert json.loads(json.dumps(parsed)) == parsed


@given(st.text())
def test_text_that_is_no_address_makes_the_filter_malformed(text: str) -> None:
    rule = FilterRule((text,), (NetPortRange("*", PortRange(1, 1)),))
    if _is_readable(text):
        FilterEvaluator([rule])
    else:
        with pytest.raises(MalformedRuleError):
            FilterEvaluator([rule])


def _is_readable(text: str) -> bool:
    try:
        return text.startswith("cap:") or text == "*" or bool(AddressRange.parse(text))
    except AddressError:
        return False
