from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from engine.rules import CapGrant, FilterRule, NetPortRange, PortRange
from policy.cli import filter_json
from policy.cli.filter_json import FilterEncoder

_IPS = st.sampled_from(
    ["*", "100.64.0.9", "10.0.0.0/8", "fd7a:115c:a1e0::9", "100.64.0.0-100.115.91.255"]
)
_LISTS = st.lists(_IPS, max_size=4).map(tuple)
_PORTS = st.builds(PortRange, st.integers(0, 65535), st.integers(0, 65535))
_RULES = st.builds(
    FilterRule,
    _LISTS,
    st.lists(st.builds(NetPortRange, _IPS, _PORTS), max_size=3).map(tuple),
    st.none() | st.lists(st.integers(1, 255), min_size=1, max_size=3).map(tuple),
    st.just(()) | st.just((CapGrant(("100.64.0.9/32",), {"b.test/c": [{"é": "\u2028"}]}),)),
)


@given(st.lists(_RULES, max_size=5))
def test_a_filter_is_spelt_as_the_rules_say(rules: list[FilterRule]) -> None:
    assert json.loads(FilterEncoder().filter(rules)) == [rule.to_wire() for rule in rules]


def test_a_list_is_encoded_once() -> None:
    sources = ("100.64.0.9", "100.64.0.10")
    encoder = FilterEncoder()
    encoder.filter([FilterRule(sources), FilterRule(sources)])
    assert len(encoder._sources) == 1


def test_lists_are_not_kept_without_end() -> None:
    encoder = FilterEncoder()
    length = filter_json._MOST_CACHED // 100
    for number in range(300):
        encoder.filter([FilterRule((f"{number:0{length}}",))])
    assert len(encoder._sources) < 110
