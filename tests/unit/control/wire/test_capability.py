"""Which versions are served."""

from __future__ import annotations

from control.wire import capability


def test_minimum_is_served_and_less_is_not() -> None:
    assert capability.is_supported(capability.MINIMUM)
    assert not capability.is_supported(capability.MINIMUM - 1)


def test_versions_of_the_future_are_served() -> None:
    assert capability.is_supported(capability.LATEST_KNOWN + 1000)


def test_our_node_claims_a_version_that_our_server_takes() -> None:
    assert capability.is_supported(capability.SPOKEN_BY_OUR_NODE)


def test_refusal_says_what_to_do() -> None:
    assert capability.refusal(90).startswith("unsupported client version: 90")
    assert "update" in capability.refusal(90)
