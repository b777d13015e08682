"""What stays reachable beside an exit node."""

from __future__ import annotations

from ipaddress import ip_network

from control.wire import DerpMap, DerpNode, DerpRegion
from node.agent.bypasses import bypasses
from node.state.preferences import Preferences

CONTROL, RELAY, PROXY = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NODE = DerpNode(name="1a", host_name="relay.example", ipv4=RELAY, ipv6="2001:db8::2")
DERP_MAP = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(NODE,))})


def preferences(exit_node: str) -> Preferences:
    return Preferences(login_server=f"https://{CONTROL}", exit_node=exit_node)


async def test_control_relays_and_the_proxy_that_leads_there_pass_by_an_exit_node() -> None:
    found = await bypasses(preferences("gate"), DERP_MAP, proxies=[PROXY])
    assert set(found) == {
        *(ip_network(address) for address in (CONTROL, RELAY, PROXY)),
        ip_network("2001:db8::2"),
    }


async def test_name_that_cannot_be_looked_up_does_not_keep_the_others_out() -> None:
    odd = DerpNode(name="1b", host_name="a..example")
    derp_map = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(odd, NODE))})
    found = await bypasses(preferences("gate"), derp_map)
    assert ip_network(RELAY) in found


async def test_nothing_passes_by_where_there_is_no_exit_node() -> None:
    assert await bypasses(preferences(""), DERP_MAP, proxies=[PROXY]) == ()
