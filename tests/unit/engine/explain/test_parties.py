from __future__ import annotations

from typing import Any

import pytest

from engine.explain.parties import QuestionError, read_party, read_protocol
from engine.resolve.selectors import Resolver
from tests.support.small_tailnet import ADA, SHOP, both, device, directory, policy, v4, v6


def read(text: str, *devices: dict[str, Any], **sections: Any) -> list[str]:
    resolver = Resolver(policy(**sections), directory(*devices))
    return [str(party) for party in read_party(text, resolver)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop", [f"shop ({v4(20)})", f"shop ({v6(20)})"]),
        ("tag:shop", [f"shop ({v4(20)})", f"shop ({v6(20)})"]),
        (v4(20), [f"shop ({v4(20)})"]),
        ("till", [f"shop ({v4(20)})"]),
        ("far", ["192.168.1.1"]),
        ("8.8.8.8", ["8.8.8.8"]),
        ("autogroup:internet", ["8.8.8.8", "2001:4860:4860::8888"]),
    ],
)
def test_a_text_stands_for_addresses(text: str, expected: list[str]) -> None:
    assert read(text, hosts={"till": v4(20), "far": "192.168.1.1"}) == expected


def test_a_user_is_all_of_their_devices() -> None:
    assert len(read(ADA)) == len(both(9, 10))


def test_a_host_name_goes_before_a_selector() -> None:
    assert read("till", SHOP, device("till", 70, tags=["tag:vault"]), hosts={"till": v4(20)}) == [
        f"till ({v4(70)})",
        f"till ({v6(70)})",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty name"),
        ("*", r"\* stands for too much"),
        ("10.0.0.0/8", "10.0.0.0/8 stands for too much"),
        ("autogroup:self", "autogroup:self stands for too much"),
        ("tag:none", "neither a device nor a tag is called tag:none"),
        ("slat", "neither a device nor a host alias is called slat; did you mean slate?"),
        ("group:none", "neither a device nor a group is called group:none"),
        ("nobody@mesh.test", "no device in the inventory is nobody@mesh.test"),
    ],
)
def test_a_text_that_means_nothing_here_is_refused(text: str, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        read(text)


@pytest.mark.parametrize(
    ("text", "number"), [(None, 6), ("udp", 17), ("ICMP", 1), ("47", 47), ("*", 6)]
)
def test_a_protocol_is_tcp_unless_named(text: str | None, number: int) -> None:
    assert read_protocol(text) == number


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(QuestionError, match='proto name "nope" not known'):
        read_protocol("nope")
