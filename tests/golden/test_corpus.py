"""The engine against everything that was recorded of the real service."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from engine.compile.network import CompiledNetwork
from engine.inventory import read_inventory
from engine.testing.run import run_tests
from policy.diagnostics.diagnostic import Severity
from policy.load import Loaded, load
from policy.source import Source
from tests.support.corpus import (
    corpus_folder,
    inventory_of,
    names_renumbered_address,
    recordings,
    shows_late_approval,
    with_sorted_principals,
    without_auto_update,
)

if TYPE_CHECKING:
    from engine.directory import Directory

RECORDINGS = {recording["id"]: recording for recording in recordings()}
ACCEPTED = [name for name, recording in RECORDINGS.items() if recording["response"]["code"] == 200]
TESTS_FAILED = "test(s) failed"

pytestmark = pytest.mark.skipif(
    corpus_folder() is None,
    reason="NOT COMPARED WITH THE REAL SERVICE: set POSTERN_CORPUS to the folder of recordings",
)


@cache
def inputs(name: str) -> tuple[Loaded, Directory]:
    recording = RECORDINGS[name]
    directory = read_inventory(inventory_of(recording))
    return load(Source(name, recording["policy"]), domains=directory.domains), directory


@cache
def network(name: str) -> CompiledNetwork:
    loaded, directory = inputs(name)
    assert loaded.policy is not None
    return CompiledNetwork(loaded.policy, directory)


def first_message(name: str) -> str | None:
    loaded, directory = inputs(name)
    found = [d for d in loaded.diagnostics if d.severity is Severity.ERROR]
    if loaded.policy is not None:
        cases, ssh_cases = loaded.policy.tests, loaded.policy.ssh_tests
        found.extend(run_tests(loaded.policy, directory, cases, ssh_cases).diagnostics)
    return found[0].message if found else None


def compare(name: str, part: str, tidy: Any = lambda value: value) -> None:
    recording = RECORDINGS[name]
    for hostname, expected in recording["expect"].items():
        node = network(name).directory.by_hostname[hostname]
        actual = network(name).node_to_wire(node.index)[part]
        assert tidy(actual) == tidy(expected[part]), hostname


@pytest.mark.parametrize("name", RECORDINGS)
def test_accepts_and_refuses_in_the_same_words(name: str) -> None:
    expected = RECORDINGS[name]["response"].get("message")
    actual = first_message(name)
    if expected is not None and expected.split()[0] not in RECORDINGS[name]["policy"]:
        foreign = " is not associated with this Tailnet"
        if foreign in expected:
            # The domain was replaced in the policy, but not in the answer.
            assert actual is not None
            expected, actual = expected.partition(foreign)[2], actual.partition(foreign)[2]
    assert actual == expected


@pytest.mark.parametrize("name", ACCEPTED)
def test_packet_filters(name: str) -> None:
    if names_renumbered_address(RECORDINGS[name]):
        pytest.skip("names an IPv6 address that was replaced since")
    compare(name, "packetFilter", lambda rules: rules or [])


@pytest.mark.parametrize("name", ACCEPTED)
def test_ssh_policies(name: str) -> None:
    compare(name, "sshPolicy", with_sorted_principals)


@pytest.mark.parametrize("name", ACCEPTED)
def test_peers_with_allowed_ips_and_capabilities(name: str) -> None:
    if names_renumbered_address(RECORDINGS[name]):
        pytest.skip("names an IPv6 address that was replaced since")
    if shows_late_approval(RECORDINGS[name]):
        pytest.skip("captured while a route approval was on its way")
    compare(name, "peers")


@pytest.mark.parametrize("name", ACCEPTED)
def test_own_allowed_ips(name: str) -> None:
    if shows_late_approval(RECORDINGS[name]):
        pytest.skip("captured while a route approval was on its way")
    compare(name, "selfAllowedIPs")


@pytest.mark.parametrize("name", ACCEPTED)
def test_own_capabilities(name: str) -> None:
    compare(name, "selfCapMap", without_auto_update)
