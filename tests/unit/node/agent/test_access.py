"""Who may come in, in names."""

from __future__ import annotations

import pytest

from engine.origin import Origin
from engine.rules import FilterRule, NetPortRange, PortRange
from node.agent.access import access_json
from node.agent.desired import Desired, desired
from node.agent.whois import whois_json
from node.state.preferences import Preferences, PreferencesError
from tests.support.netmaps import netmap, wire_node
from tests.unit.node.agent.test_desired import NOW

RULE = FilterRule(
    ("100.64.0.2",),
    (NetPortRange("100.64.0.1", PortRange(22, 22)), NetPortRange("*", PortRange(0, 65535))),
    (6,),
    origins=(Origin("acls", 3, 17),),
)
DENIAL = {"src": "100.64.0.2", "dst": "100.64.0.1", "text": "denied"}


def applied() -> Desired:
    held = netmap(wire_node(2, "web"), filters={"base": (RULE,)})
    return desired(held, Preferences(), NOW)


def test_rule_is_shown_with_names_ports_and_line() -> None:
    held = netmap(wire_node(2, "web"))
    [rule] = access_json(held, applied(), {})["inbound"]
    assert rule["from"] == ["web"]
    assert rule["destinations"] == ["100.64.0.1:22", "*:*"]
    assert rule["protocols"] == ["tcp"]
    assert rule["policy"] == {"section": "acls", "index": 3, "line": 17}


def test_denials_have_names() -> None:
    held = netmap(wire_node(2, "web"))
    [denial] = access_json(held, None, {"recent": [DENIAL]})["denials"]
    assert (denial["src_name"], denial["dst_name"]) == ("web", "own")


@pytest.mark.parametrize("text", ["100.64.0.2", "100.64.0.2:22", "[fd7a:115c:a1e0::2]:22"])
def test_whois_finds_node_and_user(text: str) -> None:
    found = whois_json(netmap(wire_node(2, "web")), text)
    assert found["Node"]["Name"] == "web.tail.example."
    assert found["UserProfile"]["LoginName"] == "ann@example.com"


@pytest.mark.parametrize("text", ["100.64.0.9", "web", "", "[::1"])
def test_whois_refuses_strangers(text: str) -> None:
    with pytest.raises(PreferencesError):
        whois_json(netmap(wire_node(2, "web")), text)
