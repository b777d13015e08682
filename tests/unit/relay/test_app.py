"""A relay on loopback sockets: transports, admission, mesh, moving clients."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import aiohttp
import pytest

from control.keys import MeshKey, NodePrivate
from relay import app, frames, stun
from relay.admission import AdmitKeys, NoVerdictError
from relay.counters import Counters
from relay.dial import DialError, RelayAddress, dial, server_key_in
from relay.frames import PeerGone, RecvPacket, Restarting
from relay.ratelimit import RateLimit
from relay.server.metrics import exposition
from relay.session_client import ClientOptions, ClientSession, Disconnected, Phase, RelayReady
from tests.support.live_relay import HOST, PATIENCE_S, LiveRelay, config, running
from tests.support.relay_pair import drain

if TYPE_CHECKING:
    from relay.session_server import AdmissionAsked

MESH = MeshKey(b"\x42" * 32)


async def until(condition: object) -> None:
    """Give the loop turns until a callable is true."""
    assert callable(condition)
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  the state belongs to the machine under test
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("with_tls", [False, True])
async def test_packet_travels_between_two_clients(with_tls: bool) -> None:
    async with running(with_tls=with_tls) as live:
        a, b = await live.join(), await live.join()
        a.live.send_packet(b.key, b"hello")
        assert await b.packet() == RecvPacket(a.key, b"hello")


async def test_certificate_tells_the_server_key_and_start_is_fast() -> None:
    async with running(with_tls=True) as live:
        a = await live.join()
        transport = a.live._transport
        assert transport is not None
        assert server_key_in(transport.get_extra_info("ssl_object")) == live.relay.public_key
        assert a.live._options.known_server_key is None


async def test_wrong_pin_is_refused() -> None:
    async with running(with_tls=True) as live:
        address = RelayAddress(
            HOST, live.relay.ports[0], certificate_pin="sha256-raw:" + "00" * 32, tls=live.tls
        )
        with pytest.raises(DialError, match="pinned"):
            await dial(address, NodePrivate.generate(os.urandom), lambda _event: None)


async def test_nobody_there_is_a_dial_error() -> None:
    async with running() as live:
        address = live.address
    with pytest.raises(DialError):
        await dial(address, NodePrivate.generate(os.urandom), lambda _event: None)


async def test_many_packets_arrive_in_order() -> None:
    async with running() as live:
        a, b = await live.join(), await live.join()
        for number in range(500):
            a.live.send_packet(b.key, number.to_bytes(2, "big") * 300)
            if number % 20 == 0:
                await asyncio.sleep(0)
        seen = [(await b.packet()).packet[:2] for _ in range(500)]
        assert seen == [n.to_bytes(2, "big") for n in range(500)]


def numbered(sender: int, count: int) -> list[bytes]:
    """Return packets that tell who sent them, and in which place."""
    return [bytes([sender]) * 1000 + number.to_bytes(4, "big") for number in range(count)]


@pytest.mark.parametrize("with_tls", [False, True])
async def test_large_reads_of_several_clients_do_not_mix(with_tls: bool) -> None:
    async with running(with_tls=with_tls) as live:
        senders = [await live.join() for _ in range(3)]
        receivers = [await live.join() for _ in range(3)]
        for _ in range(10):
            for number, (sender, receiver) in enumerate(zip(senders, receivers, strict=True)):
                for packet in numbered(number, 31):
                    sender.live.send_packet(receiver.key, packet)
            for number, (sender, receiver) in enumerate(zip(senders, receivers, strict=True)):
                found = [await receiver.packet() for _ in range(31)]
                assert found == [RecvPacket(sender.key, packet) for packet in numbered(number, 31)]


async def test_stranger_is_refused_and_member_is_not() -> None:
    member = NodePrivate.generate(os.urandom)
    async with running(admission=AdmitKeys([member.public.raw])) as live:
        await live.join(member)
        with pytest.raises(DialError):
            await live.join()


class _Failing:
    async def admits(self, asked: AdmissionAsked) -> bool:  # noqa: ARG002  the protocol's shape
        raise RuntimeError("the database is on fire")


async def test_failing_admission_refuses() -> None:
    async with running(admission=_Failing()) as live:
        with pytest.raises(DialError):
            await live.join()


class _Fickle:
    """Says yes, no, or nothing."""

    def __init__(self) -> None:
        self.allowed: bool | None = True
        self.asked = 0

    async def admits(self, asked: AdmissionAsked) -> bool:  # noqa: ARG002  the protocol's shape
        self.asked += 1
        if self.allowed is None:
            raise NoVerdictError("nobody answers")
        return self.allowed


async def test_client_that_lost_its_right_is_closed_at_the_next_check() -> None:
    admission = _Fickle()
    async with running(config(recheck_s=0.02), admission) as live:
        a = await live.join()
        admission.allowed = False
        assert await a.wait_for(Disconnected)


async def test_client_stays_while_nobody_can_say_whether_it_may() -> None:
    admission = _Fickle()
    async with running(config(recheck_s=0.02), admission) as live:
        a = await live.join()
        admission.allowed = None
        asked = admission.asked
        await until(lambda: admission.asked >= asked + 3)
        a.live.send_packet(a.key, b"still here")
        assert await a.packet() == RecvPacket(a.key, b"still here")
        with pytest.raises(DialError):
            await live.join()


async def test_control_can_close_a_client() -> None:
    async with running() as live:
        a = await live.join()
        assert live.relay.close_client(a.key) == 1
        assert await a.wait_for(Disconnected)


async def test_departure_is_told() -> None:
    async with running() as live:
        a, b = await live.join(), await live.join()
        a.live.send_packet(b.key, b"x")
        await b.packet()
        a.live.close()
        assert await b.wait_for(PeerGone) == PeerGone(a.key)


async def test_slow_reader_does_not_slow_others() -> None:
    async with running() as live:
        a, slow, quick = [await live.join() for _ in range(3)]
        transport = slow.live._transport
        assert transport is not None
        transport.pause_reading()
        link = next(k for k in live.relay.hub.links if k.session.key == slow.key)
        # A small buffer on the server's side stands for a long, thin line.
        link._transport.set_write_buffer_limits(high=1024)  # type: ignore[attr-defined]
        for number in range(400):
            a.live.send_packet(slow.key, bytes(60_000))
            a.live.send_packet(quick.key, number.to_bytes(2, "big"))
            assert (await quick.packet()).packet == number.to_bytes(2, "big")
        assert link.session.outbox.is_blocked


async def test_rate_limited_client_is_slowed_not_cut() -> None:
    settings = config(rate=RateLimit(per_second=1_000_000, burst=65_568))
    async with running(settings) as live:
        a, b = await live.join(), await live.join()
        for _ in range(4):
            a.live.send_packet(b.key, bytes(60_000))
            await asyncio.sleep(0)
        for _ in range(4):
            assert len((await b.packet()).packet) == 60_000


async def test_two_servers_form_one_region() -> None:
    async with running(config(mesh_key=MESH)) as one:
        settings = config(mesh_key=MESH, mesh_with=(one.address,))
        async with running(settings) as two:
            a, b = await one.join(), await two.join()
            await until(lambda: two.relay.hub.router.key_counts()[1] == 1)
            b.live.send_packet(a.key, b"across")
            assert await a.packet() == RecvPacket(b.key, b"across")


async def test_surplus_connections_are_cut_before_they_cost_anything() -> None:
    async with running(config(accept_rate=RateLimit(per_second=0.001, burst=1))) as live:
        await live.join()
        with pytest.raises(DialError):
            await live.join()
        assert live.relay.hub.counters.accepts_refused == 1


async def test_draining_moves_clients_to_a_successor_on_the_same_port() -> None:
    async with running() as old:
        port = old.relay.ports[0]
        a, b = await old.join(), await old.join()
        async with running(config(listen=(HOST, port))) as new:
            drained = asyncio.create_task(old.relay.drain(0.2))
            for inbox in (a, b):
                notice = await inbox.wait_for(Restarting)
                assert notice.reconnect_in_ms <= 200
                await inbox.wait_for(Disconnected)
            await drained
            again, other = await new.join(a.private), await new.join(b.private)
            again.live.send_packet(other.key, b"still here")
            assert await other.packet() == RecvPacket(a.key, b"still here")


@pytest.mark.parametrize(
    ("method", "path", "status", "header"),
    [
        ("GET", "/derp/probe", 200, ("Access-Control-Allow-Origin", "*")),
        ("HEAD", "/derp/latency-check", 200, ("Access-Control-Allow-Origin", "*")),
        ("POST", "/derp/probe", 405, None),
        ("GET", "/generate_204", 204, ("X-Tailscale-Response", "response ts_host")),
        ("GET", "/robots.txt", 200, None),
        ("GET", "/", 200, None),
        ("GET", "/derp", 426, ("Upgrade", "DERP")),
        ("GET", "/debug/metrics", 200, None),
        ("GET", "/nothing", 404, None),
    ],
)
async def test_http_endpoints(
    method: str, path: str, status: int, header: tuple[str, str] | None
) -> None:
    async with running() as live, aiohttp.ClientSession() as http:
        url = f"http://{HOST}:{live.relay.ports[0]}{path}"
        async with http.request(
            method, url, headers={"X-Tailscale-Challenge": "ts_host"}
        ) as response:
            assert response.status == status
            if header is not None:
                assert response.headers[header[0]] == header[1]


async def test_port_without_tls_serves_the_portal_check_and_no_derp() -> None:
    async with running(config(plain_http=(HOST, 0))) as live, aiohttp.ClientSession() as http:
        port = live.relay.ports[1]
        async with http.get(f"http://{HOST}:{port}/generate_204") as response:
            assert response.status == 204
        async with http.get(f"http://{HOST}:{port}/x?y=1", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, f"https://{HOST}/x?y=1")
        with pytest.raises(DialError, match="answered 302"):
            await dial(RelayAddress(HOST, port), NodePrivate(b"\x11" * 32), lambda _event: None)
        assert live.relay.hub.counters.accepts == 0


async def test_portal_challenge_with_odd_characters_is_not_echoed() -> None:
    async with running() as live, aiohttp.ClientSession() as http:
        url = f"http://{HOST}:{live.relay.ports[0]}/generate_204"
        async with http.get(url, headers={"X-Tailscale-Challenge": "a<b>"}) as response:
            assert "X-Tailscale-Response" not in response.headers


async def test_bootstrap_names_are_served_whole_or_one() -> None:
    names = {"a.example": ["192.0.2.1"], "b.example": ["192.0.2.2"]}
    async with running(config(bootstrap_names=names)) as live, aiohttp.ClientSession() as http:
        url = f"http://{HOST}:{live.relay.ports[0]}/bootstrap-dns"
        async with http.get(url) as response:
            assert await response.json() == names
        async with http.get(url, params={"q": "b.example"}) as response:
            assert await response.json() == {"b.example": ["192.0.2.2"]}


async def test_metrics_carry_the_names_of_the_field() -> None:
    async with running() as live, aiohttp.ClientSession() as http:
        a, b = await live.join(), await live.join()
        a.live.send_packet(b.key, b"x")
        await b.packet()
        url = f"http://{HOST}:{live.relay.ports[0]}/debug/metrics"
        async with http.get(url) as response:
            text = await response.text()
        assert "derp_gauge_current_connections 2.0" in text
        assert "derp_packets_sent_total 1.0" in text
        assert 'derp_packets_dropped_total{kind="disco",reason="queue_head"} 0.0' in text
        assert 'derp_counter_tcp_rtt_total{le="10"} 0.0' in text
        # Each client got a key, an info and, one of them, a packet.
        assert "derp_counter_buffered_write_frames_sum 5.0" in text
        assert 'derp_counter_mesh_update_batch_size_bucket{le="+Inf"} 0.0' in text


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_metrics_are_not_for_whom_a_proxy_on_this_host_speaks(name: str) -> None:
    async with running() as live, aiohttp.ClientSession() as http:
        url = f"http://{HOST}:{live.relay.ports[0]}/debug/metrics"
        async with http.get(url, headers={name: "198.51.100.7"}) as response:
            assert response.status == 403


async def test_round_trips_and_tls_versions_are_counted() -> None:
    async with running(with_tls=True) as live:
        await live.join()
        await live.join()
        hub = live.relay.hub
        hub.sample()
        assert sum(hub.counters.round_trips.values()) == 2
        assert hub.counters.tls_versions == {"TLSv1.3": 2}
        text = exposition(hub, ())[0].decode()
        assert 'derper_tls_request_version_total{version="TLSv1.3"} 2.0' in text


@pytest.mark.parametrize(
    ("milliseconds", "bound"), [(0.2, "10"), (10, "10"), (10.1, "20"), (500, "500"), (501, "+Inf")]
)
def test_round_trip_is_counted_under_the_bound_it_stays_within(
    milliseconds: float, bound: str
) -> None:
    counters = Counters()
    counters.note_round_trip(milliseconds)
    assert [name for name, count in counters.round_trips.items() if count] == [bound]


async def websocket_packets(
    live: LiveRelay, http: aiohttp.ClientSession, private: NodePrivate, first: bytes, count: int
) -> list[RecvPacket]:
    """Speak DERP over a WebSocket; send ourselves a packet and return what came, and more."""
    session = ClientSession(private, ClientOptions(), entropy=os.urandom, now=0)
    url = f"http://{HOST}:{live.relay.ports[0]}/derp"
    packets: list[RecvPacket] = []
    async with http.ws_connect(url, protocols=["derp"]) as socket:
        async with asyncio.timeout(PATIENCE_S):
            while len(packets) < count:
                message = await socket.receive_bytes()
                session.receive(message, 0)
                while (event := session.next_event()) is not None:
                    if isinstance(event, RecvPacket):
                        packets.append(event)
                    if isinstance(event, RelayReady):
                        session.send_packet(private.public.raw, first, 0)
                out = drain(session.outbox)
                # Message boundaries must not matter: cut the stream in odd places.
                for at in range(0, len(out), 7):
                    await socket.send_bytes(out[at : at + 7])
    return packets


async def test_websocket_carries_the_same_stream() -> None:
    private = NodePrivate.generate(os.urandom)
    async with running() as live, aiohttp.ClientSession() as http:
        packets = await websocket_packets(live, http, private, b"to myself", 1)
        assert packets == [RecvPacket(private.public.raw, b"to myself")]
        assert live.relay.hub.counters.websocket_accepts == 1


async def test_websocket_gets_what_large_reads_brought() -> None:
    # Its writer runs later than the read: what was read must not be overwritten until then.
    private = NodePrivate.generate(os.urandom)
    async with running() as live, aiohttp.ClientSession() as http:
        a, b = await live.join(), await live.join()
        listening = asyncio.create_task(websocket_packets(live, http, private, b"ready", 32))
        await until(lambda: live.relay.hub.router.find(private.public.raw) is not None)
        for packet in numbered(1, 31):
            a.live.send_packet(private.public.raw, packet)
        for packet in numbered(2, 60):
            b.live.send_packet(a.key, packet)
        packets = [event for event in await listening if event.source == a.key]
        assert packets == [RecvPacket(a.key, packet) for packet in numbered(1, 31)]


async def test_websocket_that_is_not_read_is_cut_like_any_client() -> None:
    private = NodePrivate.generate(os.urandom)
    session = ClientSession(private, ClientOptions(), entropy=os.urandom, now=0)
    settings = config(write_timeout_s=0.5)
    async with running(settings) as live, aiohttp.ClientSession() as http:
        a = await live.join()
        url = f"http://{HOST}:{live.relay.ports[0]}/derp"
        async with http.ws_connect(url, protocols=["derp"]) as socket:
            while session.phase is not Phase.OPEN:
                session.receive(await socket.receive_bytes(), 0)
                if out := drain(session.outbox):
                    await socket.send_bytes(out)
            connection = socket._response.connection
            assert connection is not None
            assert connection.transport is not None
            connection.transport.pause_reading()
            hub = live.relay.hub
            async with asyncio.timeout(PATIENCE_S):
                while len(hub.links) > 1:
                    a.live.send_packet(private.public.raw, bytes(60_000))
                    await asyncio.sleep(0.01)
            assert hub.counters.write_timeouts == 1
            connection.transport.resume_reading()


async def test_relay_stops_beside_clients_that_neither_speak_nor_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "LEAVING_S", 0.2)
    loop = asyncio.get_running_loop()
    async with running() as live:
        # No request ever comes: nobody but a timer would end this.
        _, writer = await asyncio.open_connection(HOST, live.relay.ports[0])
        await live.join()
        began = loop.time()
    assert loop.time() - began < 5
    writer.close()


async def test_http_connection_that_says_nothing_more_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "HTTP_IDLE_S", 0.2)
    async with running() as live:
        reader, writer = await asyncio.open_connection(HOST, live.relay.ports[0])
        writer.write(b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_stun_answers_on_udp() -> None:
    async with running() as live:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()

        class Probe(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _addr: object) -> None:
                answered.set_result(data)

        transport, _ = await loop.create_datagram_endpoint(
            Probe, remote_addr=(HOST, live.relay.stun_ports[0])
        )
        transport.sendto(stun.encode_request(b"transaction!"))
        async with asyncio.timeout(PATIENCE_S):
            binding = stun.parse_response(await answered)
        assert (str(binding.address), binding.port) == transport.get_extra_info("sockname")
        transport.close()


async def test_fast_start_bytes_in_one_segment_are_not_lost() -> None:
    async with running() as live:
        private = NodePrivate.generate(os.urandom)
        options = ClientOptions(host=HOST, known_server_key=live.relay.public_key)
        session = ClientSession(private, options, entropy=os.urandom, now=0)
        reader, writer = await asyncio.open_connection(HOST, live.relay.ports[0])
        writer.write(drain(session.outbox))
        async with asyncio.timeout(PATIENCE_S):
            first = await reader.readexactly(frames.HEADER_BYTES)
            assert first[0] == frames.FrameType.SERVER_KEY
            session.receive(first, 0)
            while session.next_event() is None:
                session.receive(await reader.read(1000), 0)
        writer.close()
        await writer.wait_closed()
