"""Selectors: what a text is taken for."""

from __future__ import annotations

import pytest

from policy.model.selectors import (
    Address,
    Autogroup,
    Cidr,
    DomainUsers,
    Group,
    HostAlias,
    IpSetName,
    Selector,
    Service,
    Tag,
    User,
    Wildcard,
    parse_selector,
)

KINDS = [
    ("*", Wildcard, "*"),
    ("ann@corp.test", User, "ann@corp.test"),
    ("ann@passkey", User, "ann@passkey"),
    ("group:dev", Group, "dev"),
    ("group:dev@corp.test", Group, "dev@corp.test"),
    ("tag:web", Tag, "web"),
    ("tag:", Tag, ""),
    ("autogroup:member", Autogroup, "member"),
    ("autogroup:members", Autogroup, "member"),
    ("autogroup:it-admin", Autogroup, "it-admin"),
    ("ipset:prod", IpSetName, "prod"),
    ("svc:print", Service, "print"),
    ("user:*@corp.test", DomainUsers, "corp.test"),
    ("100.64.0.9", Address, "100.64.0.9"),
    ("fd7a:115c:a1e0::9", Address, "fd7a:115c:a1e0::9"),
    ("10.0.0.0/8", Cidr, "10.0.0.0/8"),
    ("fd00::/8", Cidr, "fd00::/8"),
    ("db1", HostAlias, "db1"),
    ("10.0.0.300", HostAlias, "10.0.0.300"),
    ("10.0.0.1.nip", HostAlias, "10.0.0.1.nip"),
    ("*.corp", HostAlias, "*.corp"),
    ("user:ann", HostAlias, "user:ann"),
    ("two words", HostAlias, "two words"),
]


@pytest.mark.parametrize(("text", "kind", "name"), KINDS)
def test_kind_and_name(text: str, kind: type[Selector], name: str) -> None:
    selector = parse_selector(text)
    assert type(selector) is kind
    assert selector.name == name


@pytest.mark.parametrize("text", [text for text, _, _ in KINDS])
def test_text_survives(text: str) -> None:
    assert str(parse_selector(f" \t{text}\t ")) == text


def test_blank_text_is_no_selector() -> None:
    assert parse_selector(" \t") is None


def test_equal_in_kind_and_text_only() -> None:
    assert Tag("x") == Tag("x")
    assert hash(Tag("x")) == hash(Tag("x"))
    assert Tag("x") != Group("x")
    assert Tag("x") != "x"


def test_cidr_masks_host_bits_but_keeps_the_text() -> None:
    selector = parse_selector("10.1.2.3/8")
    assert isinstance(selector, Cidr)
    assert str(selector.network) == "10.0.0.0/8"
    assert selector.text == "10.1.2.3/8"


def test_repr_names_the_kind() -> None:
    assert repr(Tag("tag:web")) == "Tag('tag:web')"
