from __future__ import annotations

import pytest

from engine.evaluate import PeerCapabilities
from engine.netset import Address
from engine.rules import ALL_PORTS, CapGrant, FilterRule, MalformedRuleError, NetPortRange

ANN, BO, WEB = map(Address.parse, ("100.64.0.9", "100.64.0.11", "100.64.0.20"))
ANN6, WEB6 = map(Address.parse, ("fd7a:115c:a1e0::9", "fd7a:115c:a1e0::14"))
BOTH = ("100.64.0.20/32", "fd7a:115c:a1e0::14/128")


def rule(*grants: CapGrant, src: tuple[str, ...] = (str(ANN), str(ANN6))) -> FilterRule:
    return FilterRule(src, cap_grants=grants)


def test_a_source_gets_the_grants_on_the_destination() -> None:
    known = PeerCapabilities([rule(CapGrant(BOTH, {"corp.test/cap/x": [1], "corp.test/y": []}))])
    assert known.granted(ANN, WEB) == {"corp.test/cap/x": [1], "corp.test/y": []}
    assert known.granted(ANN6, WEB6) == known.granted(ANN, WEB)


def test_another_source_or_destination_gets_nothing() -> None:
    known = PeerCapabilities([rule(CapGrant(BOTH, {"corp.test/cap/x": [1]}))])
    assert known.granted(BO, WEB) is None
    assert known.granted(ANN, BO) is None


def test_values_of_several_rules_are_joined_in_rule_order() -> None:
    known = PeerCapabilities(
        [
            rule(CapGrant(BOTH, {"corp.test/cap/x": [2]})),
            rule(CapGrant(BOTH, {"corp.test/cap/x": [1, 2]}), src=("*",)),
        ]
    )
    assert known.granted(ANN, WEB) == {"corp.test/cap/x": [2, 1, 2]}
    assert known.granted(BO, WEB) == {"corp.test/cap/x": [1, 2]}


@pytest.mark.parametrize("order", [(None, [1]), ([1], None)])
def test_a_grant_without_values_adds_no_value(order: tuple[list[int] | None, ...]) -> None:
    known = PeerCapabilities(rule(CapGrant(BOTH, {"corp.test/x": values})) for values in order)
    assert known.granted(ANN, WEB) == {"corp.test/x": [1]}


def test_a_capability_only_ever_granted_without_values_has_none() -> None:
    known = PeerCapabilities([rule(CapGrant(BOTH, {"corp.test/x": None}))])
    assert known.granted(ANN, WEB) == {"corp.test/x": None}


def test_joining_does_not_change_the_rules() -> None:
    values = [1]
    known = PeerCapabilities([rule(CapGrant(BOTH, {"corp.test/x": values}))] * 2)
    assert known.granted(ANN, WEB) == {"corp.test/x": [1, 1]}
    assert values == [1]


def test_rules_that_open_ports_grant_nothing() -> None:
    known = PeerCapabilities([FilterRule(("*",), (NetPortRange("*", ALL_PORTS),))])
    assert known.granted(ANN, WEB) is None


def test_an_unreadable_destination_names_its_rule() -> None:
    with pytest.raises(MalformedRuleError, match="filter rule 0: 'web'"):
        PeerCapabilities([rule(CapGrant(("web",), {}))])
