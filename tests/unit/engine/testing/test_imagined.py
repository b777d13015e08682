from __future__ import annotations

from engine.testing.imagined import imagine
from tests.support.small_tailnet import ADA, BEN, TAGS, policy

STRANGERS = 1


def test_there_is_a_device_for_every_user_and_tag_and_for_a_stranger() -> None:
    ssh = [{"action": "accept", "src": [ADA], "dst": ["tag:shop"], "users": ["root"]}]
    found = imagine(policy(groups={"group:x": [BEN, ADA]}, ssh=ssh), ())
    assert {ADA, BEN} < {node.user for node in found.nodes if node.user}
    assert [node.tags for node in found.nodes if node.tags] == [(tag,) for tag in TAGS]
    assert len(found.nodes) == 2 + STRANGERS + len(TAGS)


def test_who_is_named_by_tests_alone_is_there_too() -> None:
    case = {"src": "new@mesh.test", "dst": ["tag:shop"], "deny": ["root"]}
    defined = policy(sshTests=[case])
    found = imagine(defined, defined.ssh_tests)
    assert "new@mesh.test" in found.by_login


def test_addresses_differ() -> None:
    found = imagine(policy(), ())
    addresses = [address for node in found.nodes for address in node.addresses]
    assert len(addresses) == len(set(addresses))


def test_the_domains_are_those_of_the_logins() -> None:
    found = imagine(policy(groups={"group:x": [ADA, "eve@other.test"]}), ())
    assert {"mesh.test", "other.test"} <= found.domains
