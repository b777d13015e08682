"""SSH policies: policy reference 6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.small_tailnet import (
    ADA,
    BEN,
    BRICK,
    SHOP,
    SLATE,
    TOWER,
    VAULT,
    both,
    device,
    network,
    v4,
    v6,
)

if TYPE_CHECKING:
    from engine.compile.network import CompiledNetwork

ACCEPT = {
    "accept": True,
    "allowAgentForwarding": True,
    "allowLocalPortForwarding": True,
    "allowRemotePortForwarding": True,
}
TWICE = device("twice", 30, tags=["tag:shop", "tag:vault"])


def rule(src: list[str], dst: list[str], users: list[str], **more: Any) -> dict[str, Any]:
    return {"action": "accept", "src": src, "dst": dst, "users": users} | more


def ssh(compiled: CompiledNetwork, name: str) -> list[dict[str, Any]]:
    index = compiled.directory.by_hostname[name].index
    return [found.to_wire() for found in compiled.ssh_policy(index)]


def principals(found: dict[str, Any]) -> list[str]:
    return [principal["nodeIP"] for principal in found["principals"]]


def test_a_destination_gets_the_sources_as_principals() -> None:
    compiled = network(ssh=[rule([ADA], ["tag:shop"], ["root"])])
    assert ssh(compiled, "shop") == [
        {
            "principals": [{"nodeIP": address} for address in both(9, 10)],
            "sshUsers": {"root": "root"},
            "action": ACCEPT,
        }
    ]


def test_others_get_nothing() -> None:
    compiled = network(ssh=[rule([ADA], ["tag:shop"], ["root"])])
    assert ssh(compiled, "vault") == ssh(compiled, "slate") == []


def test_root_is_denied_by_name_unless_listed() -> None:
    def users(*names: str) -> dict[str, str]:
        [found] = ssh(network(ssh=[rule([ADA], ["tag:shop"], list(names))]), "shop")
        return dict(found["sshUsers"])

    assert users("autogroup:nonroot") == {"*": "=", "root": ""}
    assert users("autogroup:nonroot", "root") == {"*": "=", "root": "root"}
    assert users("deploy") == {"deploy": "deploy", "root": ""}


def test_a_check_delegates_and_says_nothing_else() -> None:
    checked = rule([ADA], ["tag:shop"], ["root"], action="check", checkPeriod="1h")
    [found] = ssh(network(ssh=[checked]), "shop")
    assert list(found["action"]) == ["holdAndDelegate"]
    assert "$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER" in str(found["action"])


def test_checks_come_before_accepts() -> None:
    rules = [
        rule([ADA], ["tag:shop"], ["one"]),
        rule([ADA], ["tag:shop"], ["two"], action="check"),
        rule([ADA], ["tag:shop"], ["three"]),
        rule([ADA], ["tag:shop"], ["four"], action="check"),
    ]
    order = [list(found["sshUsers"])[-1] for found in ssh(network(ssh=rules), "shop")]
    assert order == ["two", "four", "one", "three"]


def test_environment_patterns_are_passed_on_if_any() -> None:
    def environment(value: list[str] | None) -> object:
        accepting = rule([ADA], ["tag:shop"], ["root"], acceptEnv=value)
        return ssh(network(ssh=[accepting]), "shop")[0].get("acceptEnv")

    assert environment(["LANG", "LC_*"]) == ["LANG", "LC_*"]
    assert environment(None) is None


def test_several_destinations_of_one_rule_give_one_rule() -> None:
    compiled = network(SLATE, TWICE, ssh=[rule([ADA], ["tag:shop", "tag:vault"], ["root"])])
    assert len(ssh(compiled, "twice")) == 1


def test_a_tagged_source_comes_once_for_each_of_its_tags() -> None:
    compiled = network(TWICE, VAULT, SHOP, ssh=[rule(["autogroup:tagged"], ["tag:vault"], ["a"])])
    assert principals(ssh(compiled, "vault")[0]).count(v4(30)) == 2
    assert principals(ssh(compiled, "vault")[0]).count(v4(21)) == 1


def test_a_source_of_nobody_gives_nothing() -> None:
    assert ssh(network(ssh=[rule(["no@mesh.test"], ["tag:shop"], ["root"])]), "shop") == []


def test_self_is_the_users_own_devices() -> None:
    compiled = network(ssh=[rule(["autogroup:member"], ["autogroup:self"], ["root"])])
    assert principals(ssh(compiled, "tower")[0]) == list(both(9, 10))
    assert principals(ssh(compiled, "brick")[0]) == list(both(11))
    assert ssh(compiled, "shop") == []


def test_localparts_split_the_rule_by_user() -> None:
    users = ["deploy", "localpart:*@mesh.test"]
    compiled = network(
        SLATE, TOWER, BRICK, SHOP, ssh=[rule(["autogroup:member"], ["tag:shop"], users)]
    )
    common = {"root": "", "deploy": "deploy"}
    found = [(principals(item), item["sshUsers"]) for item in ssh(compiled, "shop")]
    assert found == [
        (list(both(9, 10)), common),
        (list(both(9, 10)), {"ada": "ada"}),
        (list(both(11)), common),
        (list(both(11)), {"ben": "ben"}),
    ]


def test_tagged_sources_come_last_beside_localparts() -> None:
    src = ["tag:vault", BEN]
    compiled = network(BRICK, VAULT, SHOP, ssh=[rule(src, ["tag:shop"], ["localpart:*@mesh.test"])])
    assert [principals(item) for item in ssh(compiled, "shop")] == [
        list(both(11)),
        list(both(11)),
        list(both(21)),
    ]


def test_localparts_leak_a_users_rules_to_that_users_devices() -> None:
    """Recorded of the service: a source that is no destination hears its own share."""
    users = ["localpart:*@mesh.test"]
    compiled = network(BRICK, SHOP, VAULT, ssh=[rule([BEN, "tag:vault"], ["tag:shop"], users)])
    assert [item["sshUsers"] for item in ssh(compiled, "brick")] == [{"root": ""}, {"ben": "ben"}]
    assert [principals(item) for item in ssh(compiled, "vault")] == [list(both(21))]


def test_a_posture_drops_sources_that_fail() -> None:
    linux = device("linux", 31, user=ADA, postureAttributes={"node:os": "linux"})
    compiled = network(
        SLATE,
        linux,
        SHOP,
        postures={"posture:x": ["node:os == 'linux'"]},
        ssh=[rule([ADA], ["tag:shop"], ["root"], srcPosture=["posture:x"])],
    )
    assert principals(ssh(compiled, "shop")[0]) == [v4(31), v6(31)]


def test_recorders_are_named_and_enforced() -> None:
    recorded = rule([ADA], ["tag:shop"], ["root"], recorder=["tag:vault"], enforceRecorder=True)
    [found] = ssh(network(ssh=[recorded]), "shop")
    assert found["action"]["recorders"] == [f"{v4(21)}:80", f"[{v6(21)}]:80"]
    assert "onRecordingFailure" in found["action"]


def test_a_rule_knows_where_it_comes_from() -> None:
    compiled = network(ssh=[rule([BEN], ["tag:shop"], ["a"]), rule([ADA], ["tag:shop"], ["b"])])
    [_, second] = compiled.ssh_policy(compiled.directory.by_hostname["shop"].index)
    assert (second.origin.section, second.origin.position) == ("ssh", 1)
