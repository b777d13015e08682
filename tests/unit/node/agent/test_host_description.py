"""What control is told about the host."""

from __future__ import annotations

from control.wire import Hostinfo
from node.agent.host_description import describe, distribution, is_news
from node.state.preferences import Preferences


def test_posture_attributes_are_reported() -> None:
    said = describe(
        Preferences(),
        host_name="alpha",
        os_version="6.1.0",
        distribution=("debian", "12"),
        machine="x86_64",
        version="0.4.0",
        home_region=0,
        report=None,
    )
    assert (said.os, said.os_version, said.client_version) == ("linux", "6.1.0", "0.4.0")
    assert (said.raw["Distro"], said.raw["DistroVersion"]) == ("debian", "12")
    assert "NetInfo" not in said.raw


def test_distribution_is_that_of_this_host_or_unknown() -> None:
    name, version = distribution()
    assert name.lower() == name
    assert name or not version


def test_other_latencies_alone_are_no_news() -> None:
    told = Hostinfo({"OS": "linux", "NetInfo": {"PreferredDERP": 1, "DERPLatency": {"1-v4": 0.01}}})
    later = Hostinfo(
        {"OS": "linux", "NetInfo": {"PreferredDERP": 1, "DERPLatency": {"1-v4": 0.02}}}
    )
    moved = Hostinfo(
        {"OS": "linux", "NetInfo": {"PreferredDERP": 2, "DERPLatency": {"1-v4": 0.02}}}
    )
    assert not is_news(later, told)
    assert is_news(moved, told)
    assert is_news(told, Hostinfo({"OS": "linux"}))
