"""Delivery, duplicates, departures and watching, through real sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.keys import NodePrivate
from relay import frames, router
from relay.counters import DropReason, PacketKind
from relay.frames import PeerGone, PeerGoneReason, PeerPresent, PresenceFlag, RecvPacket
from tests.support.relay_pair import MESH_KEY, Lab, Wire

if TYPE_CHECKING:
    import pytest

DISCO = frames.DISCO_MAGIC + bytes(80)


def gone(wire: Wire) -> list[PeerGone]:
    return [event for event in wire.events if isinstance(event, PeerGone)]


def present(wire: Wire) -> list[PeerPresent]:
    return [event for event in wire.events if isinstance(event, PeerPresent)]


def send(lab: Lab, sender: Wire, destination: bytes, packet: bytes = b"hello") -> None:
    sender.client.send_packet(destination, packet, lab.now)
    lab.settle()


def test_packet_arrives_with_the_senders_key() -> None:
    lab = Lab()
    a, b = lab.join(), lab.join()
    send(lab, a, b.key)
    assert b.packets == [RecvPacket(a.key, b"hello")]


def test_largest_packet_passes() -> None:
    lab = Lab()
    a, b = lab.join(), lab.join()
    packet = bytes(frames.MAX_PACKET_BYTES)
    send(lab, a, b.key, packet)
    assert b.packets == [RecvPacket(a.key, packet)]


def test_runs_for_different_peers_in_one_chunk_are_told_apart() -> None:
    lab = Lab()
    a, b, c = lab.join(), lab.join(), lab.join()
    for destination, packet in ((b, b"1"), (b, b"2"), (c, b"3"), (b, b"4")):
        a.client.send_packet(destination.key, packet, lab.now)
    lab.settle()
    assert [p.packet for p in b.packets] == [b"1", b"2", b"4"]
    assert [p.packet for p in c.packets] == [b"3"]
    assert lab.router.counters.packets_sent == 4


def test_unknown_destination_is_counted_and_data_gets_no_answer() -> None:
    lab = Lab()
    a = lab.join()
    send(lab, a, bytes(32))
    dropped = lab.router.counters.packets_dropped
    assert dropped[DropReason.UNKNOWN_DEST, PacketKind.OTHER] == 1
    assert gone(a) == []


def test_disco_to_nobody_is_answered_three_times_then_once_a_second() -> None:
    lab = Lab()
    a = lab.join()
    for _ in range(5):
        send(lab, a, b"\x09" * 32, DISCO)
    assert gone(a) == [PeerGone(b"\x09" * 32, PeerGoneReason.NOT_HERE)] * 3
    lab.now += 1
    send(lab, a, b"\x09" * 32, DISCO)
    assert len(gone(a)) == 4


def test_departure_is_told_to_whoever_heard_from_the_peer() -> None:
    lab = Lab()
    a, b, c = lab.join(), lab.join(), lab.join()
    send(lab, a, b.key)
    a.server.disconnected()
    lab.settle()
    assert gone(b) == [PeerGone(a.key, PeerGoneReason.DISCONNECTED)]
    assert gone(c) == []


def test_newest_duplicate_receives() -> None:
    lab = Lab()
    a, old = lab.join(), lab.join()
    new = lab.join(old.private)
    send(lab, a, old.key)
    assert (len(old.packets), len(new.packets)) == (0, 1)


def test_duplicate_that_sends_anything_takes_over() -> None:
    lab = Lab()
    a, old = lab.join(), lab.join()
    new = lab.join(old.private)
    old.client.ping(b"12345678")
    lab.settle()
    send(lab, a, old.key)
    assert (len(old.packets), len(new.packets)) == (1, 0)


def test_remaining_duplicate_takes_over_without_a_departure() -> None:
    lab = Lab()
    a, old = lab.join(), lab.join()
    new = lab.join(old.private)
    send(lab, new, a.key)
    new.server.disconnected()
    send(lab, a, old.key)
    assert len(old.packets) == 1
    assert gone(a) == []
    assert lab.router.duplicate_keys() == []


def test_last_duplicate_leaving_is_a_departure_for_hearers_of_either() -> None:
    lab = Lab()
    a, old = lab.join(), lab.join()
    send(lab, old, a.key)
    new = lab.join(old.private)
    old.server.disconnected()
    new.server.disconnected()
    lab.settle()
    assert gone(a) == [PeerGone(old.key)]


def test_watcher_learns_who_is_here_and_who_comes_and_goes() -> None:
    lab = Lab()
    a = lab.join()
    watcher = lab.join(mesh_key=MESH_KEY)
    watcher.client.watch()
    lab.settle()
    b = lab.join()
    b.server.disconnected()
    lab.settle()
    flags = {event.peer: event.flags for event in present(watcher)}
    assert flags == {
        a.key: PresenceFlag.REGULAR,
        watcher.key: PresenceFlag.MESH_PEER,
        b.key: PresenceFlag.REGULAR,
    }
    assert gone(watcher) == [PeerGone(b.key)]


def test_watcher_hears_of_a_duplicates_departure_only_at_the_last() -> None:
    lab = Lab()
    watcher = lab.join(mesh_key=MESH_KEY)
    watcher.client.watch()
    a = lab.join()
    twin = lab.join(a.private)
    a.server.disconnected()
    lab.settle()
    assert gone(watcher) == []
    twin.server.disconnected()
    lab.settle()
    assert gone(watcher) == [PeerGone(a.key)]


def test_mesh_peer_can_close_a_client() -> None:
    lab = Lab()
    a = lab.join()
    mesh = lab.join(mesh_key=MESH_KEY)
    mesh.client.close_peer(a.key)
    lab.settle()
    assert a.left is not None
    assert lab.router.find(a.key) is None


def test_forwarded_packet_reaches_a_local_client_under_its_true_source() -> None:
    lab = Lab()
    a = lab.join()
    mesh = lab.join(mesh_key=MESH_KEY)
    remote = NodePrivate.generate(lab.entropy).public.raw
    mesh.client.forward_packet(remote, a.key, b"from afar", lab.now)
    lab.settle()
    assert a.packets == [RecvPacket(remote, b"from afar")]


def test_forwarded_packet_is_never_forwarded_again() -> None:
    lab = Lab()
    mesh = lab.join(mesh_key=MESH_KEY)
    elsewhere = lab.join(mesh_key=MESH_KEY)
    target = NodePrivate.generate(lab.entropy).public.raw
    lab.router.add_forwarder(target, elsewhere.client.outbox)
    mesh.client.forward_packet(bytes(32), target, b"x", lab.now)
    lab.settle()
    dropped = lab.router.counters.packets_dropped
    assert dropped[DropReason.UNKNOWN_DEST_ON_FWD, PacketKind.OTHER] == 1
    assert lab.router.counters.packets_forwarded_out == 0


def test_blocked_receiver_loses_the_oldest_and_does_not_touch_the_sender() -> None:
    lab = Lab()
    a, b, c = lab.join(), lab.join(), lab.join()
    b.server.pause_writing(lab.now)
    for number in range(40):
        send(lab, a, b.key, bytes((number,)))
    send(lab, a, c.key, b"other")
    b.server.resume_writing(lab.now)
    lab.settle()
    assert [p.packet[0] for p in b.packets] == list(range(8, 40))
    assert len(c.packets) == 1
    assert lab.router.counters.packets_dropped[DropReason.QUEUE_HEAD, PacketKind.OTHER] == 8


def test_disco_gets_through_a_flood_of_data() -> None:
    lab = Lab()
    a, b = lab.join(), lab.join()
    b.server.pause_writing(lab.now)
    send(lab, a, b.key, DISCO)
    for _ in range(100):
        send(lab, a, b.key, b"data")
    b.server.resume_writing(lab.now)
    lab.settle()
    assert b.packets[0].packet == DISCO


def test_client_that_stays_does_not_keep_everybody_it_ever_sent_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(router, "FEW_DEPARTURES", 4)
    lab = Lab()
    a, faithful = lab.join(), lab.join()
    send(lab, a, faithful.key)
    for _ in range(50):
        passing = lab.join()
        send(lab, a, passing.key)
        passing.server.disconnected()
    [connection] = [c for c in lab.router.connections() if c.key == a.key]
    assert len(connection.hearers) < 12
    a.server.disconnected()
    lab.settle()
    assert gone(faithful) == [PeerGone(a.key, PeerGoneReason.DISCONNECTED)]
