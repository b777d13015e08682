"""Who is let in, and who has to go."""

from __future__ import annotations

from control.http.door import GRACE_S, Door, Visit

PROXY = "10.0.0.1"


class Hall:
    """A door, and who was shut out."""

    def __init__(self, *, most: int = 100, unproven: int = 100, of_address: int = 100) -> None:
        self.door = Door(
            most=most,
            is_trusted=PROXY.__eq__,
            most_unproven=unproven,
            most_unproven_of_address=of_address,
        )
        self.shut: list[str] = []
        self.now = 100.0

    def enter(self, name: str, address: str) -> Visit | None:
        return self.door.enter(address, lambda: self.shut.append(name), self.now)


def test_oldest_that_had_its_time_and_has_shown_nothing_goes_first() -> None:
    hall = Hall(unproven=2)
    first = hall.enter("first", "192.0.2.1")
    assert first is not None
    hall.door.prove(first)
    for name in ("second", "third"):
        hall.enter(name, f"198.51.100.{len(name)}")
    hall.now += GRACE_S
    assert hall.enter("fourth", "198.51.100.4")
    assert hall.shut == ["second"]
    assert (len(hall.door), hall.door.unproven) == (3, 2)


def test_who_is_in_the_middle_of_it_stays_and_who_comes_waits() -> None:
    hall = Hall(unproven=2)
    first, second = hall.enter("first", "192.0.2.1"), hall.enter("second", "192.0.2.2")
    hall.now += GRACE_S / 2
    assert first
    assert second
    assert hall.enter("third", "192.0.2.3") is None
    assert hall.shut == []
    hall.door.prove(first)
    assert hall.enter("third", "192.0.2.3")


def test_address_with_too_many_loses_its_own() -> None:
    hall = Hall(of_address=2)
    hall.enter("other", "192.0.2.1")
    for name in "ab":
        hall.enter(name, "192.0.2.2")
    assert hall.enter("c", "192.0.2.2") is None
    assert hall.shut == []
    hall.now += GRACE_S
    assert hall.enter("c", "192.0.2.2")
    assert hall.shut == ["a"]


def test_one_address_cannot_keep_everybody_else_out() -> None:
    hall = Hall(unproven=4)
    hall.enter("other", "192.0.2.1")
    for name in "abc":
        hall.enter(name, "192.0.2.2")
    # At once, whatever time the crowd had: others come first.
    assert hall.enter("honest", "192.0.2.3")
    assert hall.shut == ["a"]
    assert hall.enter("d", "192.0.2.2") is None


def test_one_address_gets_half_of_the_room() -> None:
    hall = Hall(most=4)
    inside = [hall.enter(name, "192.0.2.1") for name in "abc"]
    assert [visit is not None for visit in inside] == [True, True, False]
    assert [hall.enter(name, "192.0.2.2") is not None for name in "def"] == [True, True, False]
    assert hall.shut == []


def test_room_that_was_left_is_free() -> None:
    hall = Hall(most=2)
    for _ in range(3):
        visit = hall.enter("a", "192.0.2.1")
        assert visit is not None
        hall.door.leave(visit)
        hall.door.leave(visit)
    assert len(hall.door) == hall.door.unproven == 0


def test_trusted_proxy_speaks_for_many() -> None:
    hall = Hall(most=4, of_address=1)
    assert all(hall.enter(name, PROXY) for name in "abcd")
    assert hall.shut == []
    assert hall.enter("e", PROXY) is None


def test_proving_twice_changes_nothing() -> None:
    hall = Hall()
    visit = hall.enter("a", "192.0.2.1")
    assert visit is not None
    for _ in range(2):
        hall.door.prove(visit)
    assert (len(hall.door), hall.door.unproven) == (1, 0)
