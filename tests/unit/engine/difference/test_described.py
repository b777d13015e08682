"""Who loses and gains what, in names."""

from __future__ import annotations

from typing import Any

from engine.difference import difference, difference_lines, difference_to_json
from tests.support.small_tailnet import ADA, BEN, EXITS, PORT, directory, policy


def acl(*src: str, dst: list[str], **more: Any) -> dict[str, Any]:
    return {"action": "accept", "src": [*src], "dst": dst, **more}


def compared(old: list[Any], new: list[Any], **sections: Any) -> dict[str, Any]:
    before, after = (policy(acls=rules, **sections) for rules in (old, new))
    return difference_to_json(difference(before, after, directory()))


def said(old: list[Any], new: list[Any]) -> list[str]:
    return list(difference_lines(compared(old, new)))


def test_rule_that_goes_takes_its_access_away() -> None:
    kept = acl(BEN, dst=["tag:shop:443"])
    assert said([kept, acl(ADA, dst=["tag:shop:22"], proto="tcp")], [kept]) == [
        f"losing access: {ADA}",
        "gaining access: nobody",
        f"- {ADA} (slate, tower) -> tag:shop (shop): tcp 22, icmp  [acls[1], line 18]",
    ]


def test_rewording_is_no_difference() -> None:
    one = [acl(ADA, dst=["tag:shop:80-90", "tag:shop:91-443"])]
    other = [acl(ADA, dst=["tag:shop:80-300"]), acl(ADA, dst=["tag:shop:200-443"])]
    assert compared(one, other)["same"]
    assert said(one, other) == ["both policies allow the same"]


def test_access_that_another_rule_still_gives_is_not_lost() -> None:
    both = [acl(ADA, dst=["tag:shop:22"]), acl("*", dst=["tag:shop:*"])]
    assert compared(both, both[1:])["same"]


def test_both_ip_versions_and_all_destinations_are_one_row() -> None:
    found = compared([], [acl(ADA, dst=["tag:shop:22", "tag:vault:22"], proto="tcp")])
    [row] = found["access"]
    assert [device["name"] for device in row["where"]["devices"]] == ["shop", "vault"]
    assert row["services"] == ["tcp 22", "icmp"]
    assert row["rules"] == [{"section": "acls", "position": 0, "line": 9}]
    assert (found["losing"], found["gaining"]) == ([], [ADA])


def test_what_no_device_has_is_named_with_the_way_there() -> None:
    lines = said([], [acl(BEN, dst=["10.20.3.0/24:443"], proto="tcp")])
    assert lines[2].startswith(f"+ {BEN} (brick) -> 10.20.3.0/24 through gate: tcp 443")


def test_the_internet_has_a_name() -> None:
    assert PORT["enabledRoutes"] == list(EXITS)
    lines = said([], [acl(BEN, dst=["autogroup:internet:*"])])
    assert lines[2].startswith(f"+ {BEN} (brick) -> the internet through port: tcp, udp, icmp")


def test_default_of_allowing_everything_is_a_rule() -> None:
    before, after = policy(), policy(acls=[])
    lines = list(difference_lines(difference_to_json(difference(before, after, directory()))))
    assert all("[the default of allowing everything]" in line for line in lines[2:])
    assert lines[2:]


def test_capability_is_named_with_its_value() -> None:
    grant = {"src": [ADA], "dst": ["tag:shop"], "app": {"corp.test/cap/x": [{"role": "admin"}]}}
    before, after = policy(grants=[]), policy(grants=[grant])
    [row] = difference_to_json(difference(before, after, directory()))["access"]
    assert row["services"] == ['corp.test/cap/x {"role": "admin"}']


def ssh(action: str, *users: str) -> dict[str, Any]:
    return {"action": action, "src": [ADA], "dst": ["tag:shop"], "users": [*users]}


def test_ssh_login_that_must_be_checked_now_is_a_loss() -> None:
    before, after = (policy(acls=[], ssh=[ssh(a, "deploy")]) for a in ("accept", "check"))
    found = difference_to_json(difference(before, after, directory()))
    [row] = found["logins"]
    assert (row["before"], row["after"], row["accounts"]) == ("accept", "check", ["deploy"])
    assert found["losing"] == [ADA]
    assert list(difference_lines(found))[2] == (
        f"- {ADA} (slate, tower) -> tag:shop (shop): ssh as deploy: accept -> check"
        "  [ssh[0], line 10]"
    )


def test_any_account_is_spelled_out() -> None:
    before, after = (
        policy(acls=[], ssh=[]),
        policy(acls=[], ssh=[ssh("accept", "autogroup:nonroot")]),
    )
    lines = list(difference_lines(difference_to_json(difference(before, after, directory()))))
    assert "ssh as any account but root: deny -> accept" in lines[2]
