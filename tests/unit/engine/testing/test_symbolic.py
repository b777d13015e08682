from __future__ import annotations

import pytest

from engine.testing.oracle import Question, Reach
from engine.testing.questions import Target
from engine.testing.symbolic import SymbolicOracle
from policy.model.ports import Ports, parse_ports
from policy.model.selectors import Selector, parse_selector
from tests.support.small_tailnet import ADA, BEN, accept, policy


def ask(src: str, dst: str, ports: str = "443", **sections: object) -> Reach:
    target = Target(selector(dst), tuple(Ports(*p) for p in parse_ports(ports)))
    question = Question(selector(src), target, (6, 17), None)
    return SymbolicOracle(policy(**sections)).reach(question)


def selector(text: str) -> Selector:
    found = parse_selector(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("src", "dst", "answer"),
    [
        (ADA, "tag:shop", True),
        (BEN, "tag:shop", False),
        (ADA, "tag:vault", False),
        ("tag:gate", "tag:shop", False),
        ("group:staff@mesh.test", "tag:shop", None),
        ("autogroup:owner", "tag:shop", None),
        ("100.70.0.9", "tag:shop", None),
        ("10.0.0.1", "tag:shop", False),
    ],
)
def test_names_stand_for_devices_of_their_own(src: str, dst: str, answer: bool | None) -> None:
    assert ask(src, dst, acls=[accept([ADA], ["tag:shop:443"])]).at_all is answer


def test_members_of_a_group_that_are_all_alike_are_decided() -> None:
    groups = {"group:both": [ADA, BEN]}
    reach = ask("group:both", "tag:shop", groups=groups, acls=[accept([ADA, BEN], ["tag:shop:*"])])
    assert (reach.fully, reach.at_all) == (True, True)


def test_members_of_a_group_that_differ_are_undecided() -> None:
    """Nobody says that ben has a device: without one, all of the group gets there."""
    groups = {"group:both": [ADA, BEN]}
    reach = ask("group:both", "tag:shop", groups=groups, acls=[accept([ADA], ["tag:shop:443"])])
    assert (reach.from_every, reach.fully, reach.at_all) == (None, None, None)


def test_a_group_of_nobody_is_missing() -> None:
    reach = ask("group:no", "tag:shop", groups={"group:no": []}, acls=[])
    assert reach.missing == "nobody is group:no"


def test_some_ports_of_several_are_not_all() -> None:
    reach = ask(ADA, "tag:shop", "80-90", acls=[accept([ADA], ["tag:shop:85"])])
    assert (reach.fully, reach.at_all) == (False, True)


@pytest.mark.parametrize(
    ("src", "answer"),
    [
        (ADA, True),
        ("tag:gate", True),
        ("100.70.0.77", True),
        ("fd7a:115c:a1e0::77", True),
        ("100.115.92.1", None),
        ("10.20.0.1", None),
        ("8.8.8.8", None),
    ],
)
def test_the_source_wildcard_is_the_tailnet_and_perhaps_subnets(
    src: str, answer: bool | None
) -> None:
    assert ask(src, "tag:shop", acls=[accept(["*"], ["tag:shop:443"])]).fully is answer


@pytest.mark.parametrize("dst", ["10.20.0.1", "8.8.8.8", "tag:shop", "100.115.92.1"])
def test_the_destination_wildcard_is_every_address(dst: str) -> None:
    assert ask(ADA, dst, acls=[accept([ADA], ["*:443"])]).fully is True


def test_danger_all_is_every_source() -> None:
    acls = [accept(["autogroup:danger-all"], ["tag:shop:443"])]
    assert ask("8.8.8.8", "tag:shop", acls=acls).fully is True


def test_a_posture_without_attributes_fails() -> None:
    acls = [accept([ADA], ["tag:shop:443"], srcPosture=["posture:x"])]
    reach = ask(ADA, "tag:shop", postures={"posture:x": ["node:os == 'linux'"]}, acls=acls)
    assert reach.at_all is False


def test_self_and_via_take_no_part() -> None:
    grants = [{"src": [ADA], "dst": ["10.20.0.0/16"], "ip": ["*"], "via": ["tag:gate"]}]
    assert ask(ADA, "10.20.0.1", grants=grants).at_all is False
    assert ask(ADA, ADA, acls=[accept([ADA], ["autogroup:self:*"])]).at_all is False


def test_a_policy_without_rules_allows_everything() -> None:
    assert ask(ADA, "tag:shop").fully is True
    assert ask(ADA, "tag:shop", acls=[]).at_all is False
