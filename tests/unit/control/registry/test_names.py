"""Names of nodes: from hosts, kept apart, and chosen by administrators."""

from __future__ import annotations

import pytest

from control.errors import InvalidRequestError
from control.registry.names import check_label, label_of_hostname, unique_label


@pytest.mark.parametrize(
    ("hostname", "label"),
    [
        ("Ann's MacBook Pro.local", "anns-macbook-pro"),
        ("web_01.corp.lan", "web-01-corp"),
        ("--x--", "x"),
        ("日本", "node"),
        ("", "node"),
        ("alpha.localdomain", "alpha"),
        ("alpha.LAN", "alpha-lan"),
        ("a@b", "a-b"),
        ("x" * 80, "x" * 63),
        ("é" * 80, "node"),
        ("node\x00name", "nodename"),
    ],
)
def test_label_of_hostname(hostname: str, label: str) -> None:
    assert label_of_hostname(hostname) == label


def test_taken_names_are_numbered() -> None:
    taken = {"web", "web-1"}
    assert unique_label("web", taken.__contains__) == "web-2"
    assert unique_label("db", taken.__contains__) == "db"


def test_numbered_names_stay_short_enough() -> None:
    long = "x" * 63
    assert unique_label(long, {long}.__contains__) == "x" * 61 + "-1"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a_b", "x" * 64, "a\n"])
def test_administrators_may_not_choose(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        check_label(name, "tail.example")


def test_whole_name_must_fit() -> None:
    check_label("x" * 63, "y" * 180)
    with pytest.raises(InvalidRequestError, match="too long"):
        check_label("x" * 63, "y" * 192)
