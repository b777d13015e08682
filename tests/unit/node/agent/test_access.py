"""Who may come in and where this node may go, in names and by lines of the policy."""

from __future__ import annotations

from typing import Any

import pytest

from control.wire import Reach, ReachResponse
from engine.netset.constants import INTERNET
from engine.origin import Origin
from engine.rules import ALL_PORTS, CapGrant, FilterRule, NetPortRange, PortRange
from node.agent.access import access_json
from node.agent.desired import Desired, desired
from node.agent.whois import whois_json
from node.cli.access import render_access
from node.state.preferences import Preferences, PreferencesError
from tests.support.netmaps import netmap, wire_node
from tests.unit.node.agent.test_desired import NOW

RULE = FilterRule(
    ("100.64.0.2",),
    (NetPortRange("100.64.0.1", PortRange(22, 22)), NetPortRange("*", PortRange(0, 65535))),
    (6,),
    origins=(Origin("acls", 3, 17), Origin("grants", 0, 40)),
    shares=(1, 1),
)
NOTHING = ReachResponse()
DENIAL = {"src": "100.64.0.2", "dst": "100.64.0.1", "text": "denied"}


def access(reach: ReachResponse | str = NOTHING, **decisions: Any) -> dict[str, Any]:
    held = netmap(wire_node(2, "web"))
    return access_json(held, applied(), reach, **{"denials": {}, "admissions": {}, **decisions})


def applied() -> Desired:
    held = netmap(wire_node(2, "web"), filters={"base": (RULE,)})
    return desired(held, Preferences(), NOW)


def test_each_policy_rule_is_shown_with_names_ports_and_line() -> None:
    first, second = access()["inbound"]
    assert (first["from"], first["protocols"]) == (["web"], ["tcp"])
    assert first["destinations"] == ["100.64.0.1:22"]
    assert first["policy"] == {"section": "acls", "index": 3, "line": 17}
    assert second["destinations"] == ["*:*"]
    assert second["policy"] == {"section": "grants", "index": 0, "line": 40}


def test_decisions_have_names() -> None:
    found = access(denials={"recent": [DENIAL]}, admissions={"recent": [DENIAL], "suppressed": 4})
    [denial], [admission] = found["denials"], found["admissions"]
    assert (denial["src_name"], denial["dst_name"]) == ("web", "own")
    assert (admission["src_name"], found["admissions_not_logged"]) == ("web", 4)


def test_what_may_be_reached_is_shown_by_receiver_and_policy_rule() -> None:
    rule = FilterRule(
        ("100.64.0.1",),
        (
            NetPortRange("own4", PortRange(443, 443)),
            NetPortRange("own6", PortRange(443, 443)),
            *(NetPortRange(block, ALL_PORTS) for block in INTERNET),
            NetPortRange("10.1.0.0/16", ALL_PORTS),
        ),
        origins=(Origin("acls", 0, 5), Origin("acls", 2, 7)),
        shares=(2, len(INTERNET) + 1),
    )
    # Node 9 is not in the netmap yet.
    reach = ReachResponse(
        reach=(Reach(node_ids=(2, 9), rule=rule), Reach(node_ids=(9,), rule=rule))
    )
    first, second = access(reach)["outbound"]
    assert (first["to"], first["ports"], first["destinations"]) == (["web"], ["443"], [])
    assert first["policy"]["line"] == 5
    assert second["ports"] == []
    assert second["destinations"] == ["autogroup:internet:*", "10.1.0.0/16:*"]
    assert second["policy"]["line"] == 7
    text = render_access(access(reach))
    assert "web port 443 (tcp, udp, icmp, ipv6-icmp)  [acls[0], line 5]" in text
    assert "autogroup:internet:*, 10.1.0.0/16:* via web" in text


def test_what_the_control_server_does_not_tell_is_said() -> None:
    found = access("this control server does not tell")
    assert found["outbound"] is None
    assert "not known: this control server does not tell" in render_access(found)


@pytest.mark.parametrize("text", ["100.64.0.2", "100.64.0.2:22", "[fd7a:115c:a1e0::2]:22"])
def test_whois_finds_node_and_user(text: str) -> None:
    found = whois_json(netmap(wire_node(2, "web")), text)
    assert found["Node"]["Name"] == "web.tail.example."
    assert found["UserProfile"]["LoginName"] == "ann@example.com"


@pytest.mark.parametrize("text", ["100.64.0.9", "web", "", "[::1"])
def test_whois_refuses_strangers(text: str) -> None:
    with pytest.raises(PreferencesError):
        whois_json(netmap(wire_node(2, "web")), text)


def test_whois_tells_what_the_filter_grants() -> None:
    grant = CapGrant(("100.64.0.1/32",), {"corp.test/x": [{"level": 1}]})
    rules = (FilterRule(("100.64.0.2",), cap_grants=(grant,)),)
    held = netmap(wire_node(2, "web"))
    assert whois_json(held, "100.64.0.2", rules)["CapMap"] == {"corp.test/x": [{"level": 1}]}
    assert whois_json(held, "fd7a:115c:a1e0::2", rules)["CapMap"] is None
