"""What control is told about the host."""

from __future__ import annotations

from node.agent.host_description import describe, distribution
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
