"""The server session: greeting, admission, faults, timers."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest

from control.keys import MeshKey, NodePrivate
from relay import frames
from relay.counters import Counters
from relay.errors import Fault, UsageError
from relay.handshake import ClientInfo, greeting_box, seal_greeting
from relay.patience import HANDSHAKE_S
from relay.ratelimit import RateLimit
from relay.router import Router
from relay.session_client import RelayReady
from relay.session_server import (
    AdmissionAsked,
    ClientLeft,
    Phase,
    ServerSession,
)
from relay.welcome import ServerIdentity
from tests.support.relay_pair import MESH_KEY, Lab, SeededEntropy, drain
from tests.support.vectors import load

VECTORS = load("relay", "derp")
REJECTS = {case["name"]: case for case in VECTORS["server_rejects"]}
GREETING = bytes.fromhex(next(c["bytes"] for c in VECTORS["frames"] if c["name"] == "ClientInfo"))


def recorded_session(mesh_key: MeshKey | None = None) -> ServerSession:
    """Return a session with the key pair of the vectors."""
    private = NodePrivate(bytes.fromhex(VECTORS["server_private"]))
    identity = ServerIdentity(private, SeededEntropy(), mesh_key=mesh_key)
    return ServerSession(
        identity,
        Router(Counters()),
        address=IPv4Address("192.0.2.1"),
        port=1,
        on_dirty=lambda: None,
        now=0,
    )


def fault_of(session: ServerSession) -> Fault | None:
    while (event := session.next_event()) is not None:
        if isinstance(event, ClientLeft):
            return event.fault
    return None


def test_server_key_goes_first_and_is_the_vector() -> None:
    session = recorded_session()
    first = next(c["bytes"] for c in VECTORS["frames"] if c["name"] == "ServerKey")
    assert drain(session.outbox).hex() == first


def test_recorded_greeting_asks_for_admission() -> None:
    session = recorded_session()
    session.receive(GREETING, 0)
    event = session.next_event()
    assert isinstance(event, AdmissionAsked)
    assert event.key.hex() == VECTORS["node_a_public"]
    assert (event.info.version, event.info.can_ack_pings) == (2, True)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ClientInfo shorter than 56", Fault.BAD_LENGTH),
        ("ClientInfo length 262145 announced", Fault.FRAME_TOO_LONG),
        ("ClientInfo box sealed to another key", Fault.BAD_BOX),
    ],
)
def test_recorded_bad_greetings_are_refused(name: str, fault: Fault) -> None:
    session = recorded_session()
    session.receive(bytes.fromhex(REJECTS[name]["bytes"]), 0)
    assert fault_of(session) is fault
    assert session.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("NotePreferred with 2 bytes", Fault.BAD_LENGTH),
        ("SendPacket payload 65537", Fault.BAD_LENGTH),
        ("WatchConns without mesh key", Fault.NOT_PERMITTED),
        ("Ping shorter than 8", Fault.BAD_LENGTH),
    ],
)
def test_recorded_bad_frames_end_the_session(name: str, fault: Fault) -> None:
    session = recorded_session()
    session.receive(GREETING, 0)
    session.admit(0)
    case = REJECTS[name]
    wire = bytes.fromhex(case.get("bytes") or case["frame_header"])
    session.receive(wire, 0)
    assert fault_of(session) is fault


def test_every_recorded_reject_is_looked_at() -> None:
    assert len(REJECTS) == 7


def test_wrong_mesh_key_is_refused() -> None:
    lab = Lab()
    wire = lab.join(mesh_key=MeshKey(b"\x01" * 32))
    assert wire.left is not None
    assert wire.left.fault is Fault.BAD_MESH_KEY


def test_mesh_key_means_nothing_to_a_server_without_one() -> None:
    lab = Lab(mesh_key=None)
    wire = lab.join(mesh_key=MESH_KEY)
    assert wire.left is not None
    assert wire.left.fault is Fault.BAD_MESH_KEY


@pytest.mark.parametrize(
    "frame",
    [
        frames.ForwardPacket(bytes(32), bytes(32), b"x"),
        frames.ClosePeer(bytes(32)),
        frames.WatchConns(),
    ],
)
def test_mesh_frames_need_the_mesh_key(frame: frames.Frame) -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.receive(frames.encode(frame), lab.now)
    assert fault_of(wire.server) is Fault.NOT_PERMITTED


def test_a_frame_before_the_greeting_is_a_fault() -> None:
    session = recorded_session()
    session.receive(frames.encode(frames.Ping(b"12345678")), 0)
    assert fault_of(session) is Fault.UNEXPECTED_FRAME


def test_refused_client_never_reaches_the_router() -> None:
    lab = Lab()
    session = lab.session()
    session.receive(greeting_for(lab), lab.now)
    session.refuse("not one of ours")
    assert fault_of(session) is None or session.phase is Phase.CLOSED
    assert lab.router.key_counts() == (0, 0)


def greeting_for(lab: Lab) -> bytes:
    private = NodePrivate.generate(lab.entropy)
    box = greeting_box(private, lab.identity.public)
    sealed = seal_greeting(ClientInfo(), box, lab.entropy)
    return frames.encode(frames.ClientInfoFrame(private.public.raw, sealed))


def test_admit_before_the_greeting_is_our_own_mistake() -> None:
    with pytest.raises(UsageError):
        Lab().session().admit(0)


def test_what_followed_the_greeting_is_handled_after_admission() -> None:
    lab = Lab()
    session = lab.session()
    drain(session.outbox)
    session.receive(greeting_for(lab) + frames.encode(frames.Ping(b"abcdefgh")), lab.now)
    assert drain(session.outbox) == b""
    session.admit(lab.now)
    assert drain(session.outbox).endswith(frames.encode(frames.Pong(b"abcdefgh")))


def test_silence_before_the_greeting_times_out() -> None:
    lab = Lab()
    session = lab.session()
    assert session.deadline() == lab.now + HANDSHAKE_S
    session.on_deadline(lab.now + HANDSHAKE_S - 0.1)
    assert session.phase is Phase.AWAIT_CLIENT_INFO
    session.on_deadline(lab.now + HANDSHAKE_S)
    assert fault_of(session) is Fault.HANDSHAKE_TIMEOUT


def test_keepalive_comes_between_60_and_65_seconds() -> None:
    lab = Lab()
    wire = lab.join()
    due = wire.server.deadline()
    assert due is not None
    assert 60 <= due - lab.now <= 65
    wire.server.on_deadline(due)
    assert drain(wire.server.outbox) == frames.encode(frames.KeepAlive())


def test_client_that_does_not_read_is_closed() -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.pause_writing(lab.now)
    wire.server.on_deadline(lab.now + 1.9)
    assert wire.server.phase is Phase.OPEN
    wire.server.on_deadline(lab.now + 2.0)
    assert fault_of(wire.server) is Fault.WRITE_TIMEOUT
    assert lab.router.counters.write_timeouts == 1


def test_mesh_peer_may_be_stuck_for_longer() -> None:
    lab = Lab()
    wire = lab.join(mesh_key=MESH_KEY)
    wire.server.pause_writing(lab.now)
    assert wire.server.deadline() == lab.now + 30
    wire.server.on_deadline(lab.now + 30)
    assert fault_of(wire.server) is Fault.WRITE_TIMEOUT


def test_one_pong_waits_for_a_client_that_does_not_read() -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.pause_writing(lab.now)
    pings = [frames.Ping(bytes([number]) * 8) for number in range(5)]
    wire.server.receive(b"".join(map(frames.encode, pings)), lab.now)
    wire.server.resume_writing(lab.now)
    assert drain(wire.server.outbox) == frames.encode(frames.Pong(bytes(8)))
    counters = lab.router.counters
    assert (counters.got_ping, counters.sent_pong) == (5, 1)
    wire.server.receive(frames.encode(pings[1]), lab.now)
    assert drain(wire.server.outbox) == frames.encode(frames.Pong(b"\1" * 8))


def test_slow_progress_is_progress() -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.pause_writing(lab.now)
    wire.server.note_progress(lab.now + 1.5)
    wire.server.on_deadline(lab.now + 2.5)
    assert wire.server.phase is Phase.OPEN


def test_unknown_frames_are_passed_over_however_long() -> None:
    lab = Lab()
    wire = lab.join()
    header = struct.pack(">BI", 0x7F, 0xFFFF_FFFF)
    wire.server.receive(header + b"x" * 70_000, lab.now)
    left = 0xFFFF_FFFF - 70_000
    assert wire.server._inflow is not None
    wire.server._inflow._skip -= left - 3
    wire.server.receive(b"end" + frames.encode(frames.Ping(b"12345678")), lab.now)
    assert drain(wire.server.outbox) == frames.encode(frames.Pong(b"12345678"))
    assert lab.router.counters.unknown_frames == 1


def test_rate_limit_asks_the_driver_to_wait() -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.set_rate(RateLimit(per_second=1000, burst=65_568), lab.now)
    wire.server._bucket.charge(wire.server._bucket._tokens, lab.now)
    frame = frames.encode(frames.SendPacket(wire.key, bytes(463)))
    assert wire.server.receive(frame, lab.now) == pytest.approx(0.5)


def test_mesh_peers_are_not_rate_limited() -> None:
    lab = Lab()
    wire = lab.join(mesh_key=MESH_KEY)
    wire.server.set_rate(RateLimit(per_second=1, burst=1), lab.now)
    frame = frames.encode(frames.SendPacket(wire.key, bytes(463)))
    assert wire.server.receive(frame, lab.now) == 0


def test_restart_is_announced_to_open_sessions() -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.announce_restart(250, 30_000)
    lab.settle()
    assert wire.events[-1] == frames.Restarting(250, 30_000)


def test_health_is_announced() -> None:
    lab = Lab()
    wire = lab.join()
    wire.server.announce_health("duplicate key")
    lab.settle()
    assert wire.events[-1] == frames.Health("duplicate key")


def test_home_flag_counts_as_a_move_only_after_a_while() -> None:
    lab = Lab()
    wire = lab.join()
    wire.client.note_preferred(is_home=True)
    lab.settle()
    assert lab.router.counters.home_moves_in == 0
    lab.now += 6
    wire.client.note_preferred(is_home=False)
    lab.settle()
    assert lab.router.counters.home_moves_out == 1


def test_ready_names_the_server() -> None:
    lab = Lab()
    wire = lab.join()
    ready = wire.events[0]
    assert isinstance(ready, RelayReady)
    assert ready.server_key == lab.identity.public
