"""Both ends of a control connection in memory: any chunking works, any damage ends it cleanly."""

from __future__ import annotations

import contextlib
import hashlib
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from control.channel.machine import ChannelClosedError, ControlChannel, RequestReceived
from control.keys import MachinePrivate
from control.noise import HandshakeError, decode_handshake_header
from node.session.channel import (
    BodyReceived,
    ChannelError,
    ClientChannel,
    ResponseEnded,
    ResponseStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL, MACHINE = MachinePrivate(bytes([1]) * 32), MachinePrivate(bytes([2]) * 32)
HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n"
)


def seeded(seed: str) -> Callable[[int], bytes]:
    numbers = count()
    return lambda n: hashlib.shake_256(f"{seed} {next(numbers)}".encode()).digest(n)


class Pair:
    """A node and a server, and the bytes on their way in each direction."""

    def __init__(self) -> None:
        self.client = ClientChannel(
            host="control.example",
            version=113,
            machine=MACHINE,
            server=CONTROL.public,
            entropy=seeded("client"),
        )
        request = self.client.transmit().decode()
        header = request.partition("X-Tailscale-Handshake: ")[2].partition("\r\n")[0]
        self.server = ControlChannel(
            decode_handshake_header(header), control=CONTROL, entropy=seeded("server")
        )
        self.to_client = HEAD + self.server.transmit()
        self.to_server = b""
        self.bodies: dict[int, bytes] = {}
        self.statuses: dict[int, int] = {}
        self.ended: set[int] = set()
        self.asked: list[RequestReceived] = []

    def feed_client(self, data: bytes) -> None:
        for event in self.client.receive(data):
            match event:
                case ResponseStarted(stream=stream, status=status):
                    self.bodies[stream] = b""
                    self.statuses[stream] = status
                case BodyReceived(stream=stream, data=piece):
                    self.bodies[stream] += piece
                case ResponseEnded(stream=stream):
                    self.ended.add(stream)
                case _:
                    pass
        self.to_server += self.client.transmit()

    def feed_server(self, data: bytes) -> None:
        for event in self.server.receive(data):
            if isinstance(event, RequestReceived):
                self.asked.append(event)
                self.server.start(event.stream, 200)
                self.server.send(event.stream, event.body * 3)
                self.server.finish(event.stream)
        self.to_client += self.server.transmit()

    def ask(self, body: bytes) -> int:
        """Send a request as far as it goes at once."""
        stream = self.client.request("POST", "/machine/map", body)
        self.to_server += self.client.transmit()
        return stream

    def pump(self, sizes: list[int]) -> None:
        """Carry bytes in pieces of the given sizes until nothing is on its way."""
        step = 0
        while self.to_client or self.to_server:
            size = sizes[step % len(sizes)] if step < 4000 else 1 << 16
            step += 1
            data, self.to_client = self.to_client[:size], self.to_client[size:]
            self.feed_client(data)
            data, self.to_server = self.to_server[:size], self.to_server[size:]
            self.feed_server(data)


SIZES = st.lists(st.integers(1, 6000), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(sizes=SIZES, bodies=st.lists(st.binary(min_size=1, max_size=9000), min_size=1, max_size=4))
def test_requests_and_responses_survive_any_chunking(sizes: list[int], bodies: list[bytes]) -> None:
    pair = Pair()
    pair.pump([4096])
    streams = [pair.client.request("POST", f"/machine/{n}", b) for n, b in enumerate(bodies)]
    pair.to_server += pair.client.transmit()
    pair.pump(sizes)
    assert [(event.path, event.body) for event in pair.asked] == [
        (f"/machine/{n}", body) for n, body in enumerate(bodies)
    ]
    assert pair.ended == set(streams)
    assert [pair.bodies[stream] for stream in streams] == [body * 3 for body in bodies]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bit_to_the_server_ends_the_connection_and_nothing_is_asked(
    data: st.DataObject,
) -> None:
    pair = Pair()
    pair.pump([4096])
    pair.client.request("POST", "/machine/map", b"{}" * 50)
    wire = bytearray(pair.client.transmit())
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(ChannelClosedError):
        pair.feed_server(bytes(wire))
    # A record whose announced length grew is waited for; in no case does a request come out.
    assert pair.asked == []


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bit_to_the_node_only_ends_the_connection(data: st.DataObject) -> None:
    pair = Pair()
    wire = bytearray(pair.to_client)
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    try:
        pair.feed_client(bytes(wire))
    except ChannelError:
        return
    assert not pair.bodies


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, 2000))
def test_truncated_stream_asks_for_nothing_that_is_not_whole(length: int) -> None:
    pair = Pair()
    pair.pump([4096])
    pair.client.request("POST", "/machine/map", b"x" * 1500)
    wire = pair.client.transmit()
    pair.feed_server(wire[:length])
    assert len(pair.asked) == (1 if length >= len(wire) else 0)


@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_end_the_connection_cleanly(data: bytes) -> None:
    pair = Pair()
    try:
        pair.feed_server(data)
    except ChannelClosedError:
        return
    assert pair.asked == []


@given(initiation=st.binary(max_size=150))
def test_arbitrary_initiations_are_refused(initiation: bytes) -> None:
    try:
        ControlChannel(initiation, control=CONTROL, entropy=seeded("server"))
    except HandshakeError:
        return
    raise AssertionError("a handshake of random bytes went through")
