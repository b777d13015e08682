"""Laws of the messages: any JSON reads or is refused in one way; chunking changes nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control.wire import MapRequest, MapResponse, RegisterRequest, RegisterResponse, WireError
from control.wire._codec import Message, field_keys
from control.wire.framing import MapFrameDecoder, compress, decompress, frame

MESSAGES: list[type[Message]] = [MapRequest, MapResponse, RegisterRequest, RegisterResponse]
KEYS = sorted({key for kind in MESSAGES for key in field_keys(kind)} | {"ID", "Key", "NodeID"})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["nodekey:" + "0" * 64, "10.0.0.0/8", "2026-01-02T03:04:05Z", "AAAA"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(kind=st.sampled_from(MESSAGES), wire=JSON)
def test_any_json_reads_or_is_refused_in_one_way(kind: type[Message], wire: Any) -> None:
    try:
        read = kind.from_json(wire)
    except WireError:
        return
    assert kind.from_json(read.to_json()) == read


@given(kind=st.sampled_from(MESSAGES), data=st.data())
def test_any_value_of_a_known_field_reads_or_is_refused(
    kind: type[Message], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(field_keys(kind)))
    try:
        read = kind.from_json({key: data.draw(JSON)})
    except WireError:
        return
    assert kind.from_json(read.to_json()) == read


@given(
    contents=st.lists(st.binary(min_size=1, max_size=400), max_size=5),
    cuts=st.lists(st.integers(0, 5000), max_size=10),
    is_compressed=st.booleans(),
)
def test_chunking_of_frames_changes_nothing(
    contents: list[bytes], cuts: list[int], *, is_compressed: bool
) -> None:
    stream = b"".join(frame(compress(each) if is_compressed else each) for each in contents)
    edges = [0, *sorted(at % (len(stream) + 1) for at in cuts), len(stream)]
    decoder = MapFrameDecoder(is_compressed=is_compressed)
    read = [each for a, b in pairwise(edges) for each in decoder.receive(stream[a:b])]
    assert read == contents


@given(data=st.binary(max_size=200))
def test_arbitrary_streams_only_raise_wire_errors(data: bytes) -> None:
    try:
        list(MapFrameDecoder(is_compressed=True, max_json=1 << 20).receive(data))
    except WireError:
        return


@given(pieces=st.lists(st.binary(max_size=100), max_size=6))
def test_frames_compressed_apart_read_as_one(pieces: list[bytes]) -> None:
    assert decompress(b"".join(map(compress, pieces))) == b"".join(pieces)
