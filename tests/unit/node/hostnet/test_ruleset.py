"""The nftables script of a node that forwards."""

from __future__ import annotations

from node.hostnet.ruleset import forwarding_ruleset, record_of, removal


def test_only_our_own_table_is_replaced() -> None:
    text = forwarding_ruleset("postern0", masquerades=True)
    tables = [line for line in text.splitlines() if "table" in line]
    assert tables
    assert all("inet postern-postern0" in line for line in tables)


def test_masquerading_can_be_left_out() -> None:
    hides = 'oifname != "postern0" masquerade'
    assert hides in forwarding_ruleset("postern0", masquerades=True)
    assert hides not in forwarding_ruleset("postern0", masquerades=False)


def test_removal_succeeds_whether_the_table_is_there_or_not() -> None:
    assert removal("t").splitlines() == ["table inet postern-t", "delete table inet postern-t"]


def test_record_is_read_from_the_name_of_its_chain() -> None:
    text = forwarding_ruleset("postern0", masquerades=True, record=("0", "1"))
    [name] = [line.split()[1] for line in text.splitlines() if "switches" in line]
    assert record_of(name) == ("0", "1")
    assert record_of("forward") is None


def test_switch_that_is_not_there_is_remembered_as_such() -> None:
    text = forwarding_ruleset("postern0", masquerades=True, record=("1", ""))
    [name] = [line.split()[1] for line in text.splitlines() if "switches" in line]
    assert record_of(name) == ("1", "")
