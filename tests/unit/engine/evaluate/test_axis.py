from __future__ import annotations

from engine.evaluate.axis import Axis

OVERLAPPING = Axis([((10, 20), 0b01), ((15, 30, 40, 50), 0b10)], always=0b100)


def test_every_value_satisfies_the_members_that_hold_it() -> None:
    found = {value: OVERLAPPING[value] & 0b11 for value in (9, 10, 14, 15, 19, 20, 29, 30, 40, 50)}
    assert found == {
        9: 0,
        10: 0b01,
        14: 0b01,
        15: 0b11,
        19: 0b11,
        20: 0b10,
        29: 0b10,
        30: 0,
        40: 0b10,
        50: 0,
    }


def test_what_holds_always_holds_everywhere() -> None:
    assert all(OVERLAPPING[value] & 0b100 for value in (0, 12, 17, 1000))


def test_members_with_equal_sets_share_their_bounds() -> None:
    axis = Axis([((10, 20), 0b01), ((10, 20), 0b10)])
    assert [axis[value] for value in (9, 10, 20)] == [0, 0b11, 0]


def test_an_axis_without_members_is_zero() -> None:
    assert Axis(())[7] == 0


def test_what_is_remembered_is_bounded() -> None:
    axis = Axis([((10, 20), 1)])
    for value in range(40_000):
        assert axis[value] == (10 <= value < 20)
    assert len(axis) <= 1 << 15
