"""From one plan of the host's network to the next."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from node.hostnet.plan import ROUTE_TABLE, HostPlan, Step, StepKind, route_table, steps

networks = st.lists(
    st.integers(0, 30).map(lambda n: ipaddress.ip_network(f"10.0.{n}.0/24")), max_size=6,
    unique=True,
).map(tuple)  # fmt: skip
plans = st.builds(
    HostPlan,
    addresses=networks,
    services=networks,
    routes=networks,
    bypasses=networks,
    forwards=networks,
    masquerades=st.booleans(),
)
ONE, TWO = ipaddress.ip_network("10.0.1.0/24"), ipaddress.ip_network("10.0.2.0/24")


def carried_out(plan: HostPlan, taken: list[Step]) -> HostPlan:
    """Return the plan that a host which does as it is told ends up with."""
    held = {
        StepKind.ADDRESS: set(plan.addresses),
        StepKind.SERVICE: set(plan.services),
        StepKind.ROUTE: set(plan.routes),
        StepKind.BYPASS: set(plan.bypasses),
    }
    forwards, masquerades = plan.forwards, plan.masquerades
    for step in taken:
        if step.kind is StepKind.FORWARDING:
            forwards, masquerades = step.networks, step.masquerades
        elif step.is_addition:
            assert not held[step.kind] & set(step.networks)
            held[step.kind] |= set(step.networks)
        else:
            assert held[step.kind] >= set(step.networks)
            held[step.kind] -= set(step.networks)
    return HostPlan(
        addresses=tuple(sorted(held[StepKind.ADDRESS])),
        services=tuple(sorted(held[StepKind.SERVICE])),
        routes=tuple(sorted(held[StepKind.ROUTE])),
        bypasses=tuple(sorted(held[StepKind.BYPASS])),
        forwards=forwards,
        masquerades=masquerades,
    )


def in_order(plan: HostPlan) -> HostPlan:
    return replace(
        plan,
        addresses=tuple(sorted(plan.addresses)),
        services=tuple(sorted(plan.services)),
        routes=tuple(sorted(plan.routes)),
        bypasses=tuple(sorted(plan.bypasses)),
    )


@given(plans, plans)
def test_steps_lead_from_one_plan_to_the_other(before: HostPlan, after: HostPlan) -> None:
    assert carried_out(before, steps(before, after)) == in_order(after)


@given(plans, plans, st.data())
def test_opposites_lead_back_from_anywhere(
    before: HostPlan, after: HostPlan, data: st.DataObject
) -> None:
    wanted = steps(before, after)
    done = wanted[: data.draw(st.integers(0, len(wanted)))]
    back = [step.opposite(before) for step in reversed(done)]
    assert carried_out(before, [*done, *back]) == in_order(before)


@given(plans)
def test_nothing_is_done_twice(plan: HostPlan) -> None:
    assert steps(plan, plan) == []


def test_bypass_stands_before_the_route_that_would_swallow_it() -> None:
    kinds = [step.kind for step in steps(HostPlan(), HostPlan(routes=(ONE,), bypasses=(TWO,)))]
    assert kinds == [StepKind.BYPASS, StepKind.ROUTE]


def test_address_goes_after_the_route_that_needs_it() -> None:
    held = HostPlan(addresses=(ONE,), routes=(TWO,))
    kinds = [step.kind for step in steps(held, HostPlan())]
    assert kinds == [StepKind.ROUTE, StepKind.ADDRESS]


def test_agents_of_one_host_have_tables_of_their_own() -> None:
    tables = {name: route_table(name) for name in ("postern0", "postern-work", "postern-home")}
    assert tables["postern0"] == ROUTE_TABLE
    assert len(set(tables.values())) == len(tables)
    assert all(table > ROUTE_TABLE - 1 for table in tables.values())
