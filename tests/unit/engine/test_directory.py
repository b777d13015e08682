from __future__ import annotations

from engine.directory import Directory, DirectoryUser, Settings
from engine.netset.address import Address
from tests.support.small_tailnet import ADA, BEN, SHOP, SLATE, TOWER, device, directory, v4


def test_devices_of_a_user_leave_tagged_ones_out() -> None:
    lent = device("lent", 30, user=ADA, tags=["tag:shop"])
    assert directory(SLATE, TOWER, lent).by_user == {ADA: (0, 1)}


def test_devices_of_a_tag_are_those_that_carry_it() -> None:
    twice = device("twice", 31, tags=["tag:vault", "tag:shop"])
    assert directory(SHOP, twice).by_tag == {"tag:shop": (0, 1), "tag:vault": (1,)}


def test_a_device_is_found_by_either_address() -> None:
    found = directory(SHOP, SLATE)
    assert {found.by_address[a] for a in found.nodes[1].addresses} == {1}
    assert Address.parse(v4(99)) not in found.by_address


def test_of_equal_host_names_the_first_counts() -> None:
    found = directory(device("same", 1, user=ADA), device("same", 2, user=BEN))
    assert found.by_hostname["same"].index == 0


def test_the_domain_is_that_of_the_first_user() -> None:
    assert directory().domains == {"mesh.test"}


def test_domains_can_be_named() -> None:
    assert directory(domains=["one.test", "two.test"]).domains == {"one.test", "two.test"}


def test_a_login_without_mail_has_no_domain() -> None:
    users = (DirectoryUser("1", "ada", "Ada", "owner"),)
    assert Directory(users, ()).domains == frozenset()


def test_nobody_has_no_domain_and_no_name() -> None:
    nobody = Directory((), ())
    assert (nobody.domains, nobody.name) == (frozenset(), "")


def test_the_name_is_the_first_login_unless_given() -> None:
    users = (DirectoryUser("1", ADA, "Ada", "owner"),)
    assert Directory(users, ()).name == ADA
    assert Directory(users, (), Settings(name="mesh")).name == "mesh"


def test_users_are_found_by_login() -> None:
    assert directory().by_login[BEN].role == "member"
