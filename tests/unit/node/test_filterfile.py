"""Filter files: what is read and what is refused."""

from __future__ import annotations

import json

import pytest

from engine.netset import IpSet
from node.filterfile import FilterFileError, parse_filter

RULE = {
    "SrcIPs": ["10.0.0.1"],
    "DstPorts": [{"IP": "*", "Ports": {"First": 22, "Last": 22}}],
    "Line": 12,
}


def test_bare_list_is_the_rules() -> None:
    parsed = parse_filter(json.dumps([RULE]))
    assert parsed.rules[0].src_ips == ("10.0.0.1",)
    assert parsed.local is None


def test_line_of_the_policy_is_kept() -> None:
    assert parse_filter(json.dumps([RULE])).rules[0].origins[0].line == 12


def test_local_is_read() -> None:
    parsed = parse_filter(json.dumps({"rules": [], "local": ["10.0.0.0/24"]}))
    assert parsed.local == IpSet.of("10.0.0.0/24")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("5", "expected a list"),
        ('{"rule": []}', "expected a list"),
        ('[{"SrcIPs": 5}]', "rule 0"),
        ('[{"SrcIPs": [], "DstPorts": [{"IP": "*"}]}]', "rule 0"),
        ('[{"SrcIPs": [], "Line": -1}]', "rule 0: Line"),
        ('{"rules": [], "local": "x"}', "local"),
        ('{"rules": [], "local": ["10.0.0.256"]}', "local"),
    ],
)
def test_bad_text_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(FilterFileError, match=says):
        parse_filter(text)
