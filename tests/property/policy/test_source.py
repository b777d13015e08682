from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy.source import Source
from tests.support.hujson_texts import UNHURRIED


@given(st.binary())
@UNHURRIED
def test_any_bytes_come_back(data: bytes) -> None:
    assert Source.from_bytes("p", data).to_bytes() == data


@given(st.binary(max_size=40) | st.text("a\né😀\r", max_size=40).map(str.encode))
@UNHURRIED
def test_position_is_what_counting_bytes_gives(data: bytes) -> None:
    source = Source.from_bytes("p", data)
    for offset in range(len(source.text) + 1):
        before = source.text[:offset].encode("utf-8", "surrogateescape")
        place = source.position(offset)
        assert place.byte_offset == len(before)
        assert place.line == before.count(b"\n") + 1
        assert place.byte_column == len(before) - (before.rfind(b"\n") + 1) + 1
        assert place.column == offset - (source.text.rfind("\n", 0, offset) + 1) + 1


@given(st.text("ab\n\r", max_size=30))
@UNHURRIED
def test_lines_are_those_between_line_feeds(text: str) -> None:
    source = Source("p", text)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    assert [source.line_text(number + 1) for number in range(len(lines))] == lines
    assert source.line_text(0) == source.line_text(len(lines) + 1) == ""
