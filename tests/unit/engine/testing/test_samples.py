"""Representative ports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.testing.samples import PortSamples

PORT = st.integers(1, 65535)
RANGE = st.tuples(PORT, PORT).map(lambda pair: (min(pair), max(pair)))


def test_first_port_and_every_change_inside() -> None:
    samples = PortSamples([(80, 80), (443, 8443)])
    assert samples.of([(1, 500)]) == [1, 80, 81, 443]


def test_nothing_outside_of_what_is_asked() -> None:
    assert PortSamples([(80, 80)]).of([(443, 443)]) == [443]


@given(st.lists(RANGE, max_size=5), RANGE, st.data())
def test_every_port_is_answered_like_a_sample(
    ranges: list[tuple[int, int]], asked: tuple[int, int], data: st.DataObject
) -> None:
    port = data.draw(st.integers(*asked))

    def opening(at: int) -> list[bool]:
        return [first <= at <= last for first, last in ranges]

    alike = max(sample for sample in PortSamples(ranges).of([asked]) if sample <= port)
    assert opening(alike) == opening(port)
