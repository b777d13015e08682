"""Two servers of one region, joined by mesh links in memory."""

from __future__ import annotations

from relay.frames import PeerGone, RecvPacket
from tests.support.relay_pair import Lab
from tests.support.relay_region import carry, connect, region


def test_packet_crosses_the_region_and_back() -> None:
    one, two, links = region()
    a, b = one.join(), two.join()
    carry(links, [one, two])
    a.client.send_packet(b.key, b"there", 0)
    b.client.send_packet(a.key, b"back", 0)
    carry(links, [one, two])
    assert b.packets == [RecvPacket(a.key, b"there")]
    assert a.packets == [RecvPacket(b.key, b"back")]


def test_presence_that_one_write_tells_a_mesh_peer_is_counted() -> None:
    one, two, links = region()
    carry(links, [one, two])
    before = two.router.counters.mesh_update_batch_size.sum
    for _ in range(3):
        two.join()
    carry(links, [one, two])
    assert two.router.counters.mesh_update_batch_size.sum == before + 3


def test_departure_on_one_server_is_told_on_the_other() -> None:
    one, two, links = region()
    a, b = one.join(), two.join()
    carry(links, [one, two])
    a.client.send_packet(b.key, b"hello", 0)
    carry(links, [one, two])
    a.server.disconnected()
    carry(links, [one, two])
    assert PeerGone(a.key) in b.events


def test_client_that_moves_within_the_region_is_not_gone() -> None:
    one, two, links = region()
    a, b = one.join(), two.join()
    carry(links, [one, two])
    a.client.send_packet(b.key, b"hello", 0)
    carry(links, [one, two])
    two.join(a.private)
    carry(links, [one, two])
    a.server.disconnected()
    carry(links, [one, two])
    assert PeerGone(a.key) not in b.events


def test_lost_link_takes_its_forwarders_along() -> None:
    one, two, links = region()
    one.join()
    two.join()
    carry(links, [one, two])
    assert one.router.key_counts()[1] == 1
    links[0].wire.client.disconnected("cut")
    links[0].hear()
    assert one.router.key_counts()[1] == 0


def test_two_links_to_one_client_prefer_the_first() -> None:
    one, two, three = Lab(seed=1), Lab(seed=2), Lab(seed=3)
    links = [connect(one, two), connect(one, three)]
    a, b = one.join(), two.join()
    carry(links, [one, two, three])
    three.join(b.private)
    carry(links, [one, two, three])
    a.client.send_packet(b.key, b"x", 0)
    carry(links, [one, two, three])
    assert len(b.packets) == 1
    assert one.router.counters.multiforwarder_created == 1


def test_link_to_oneself_is_refused_by_the_server() -> None:
    one = Lab()
    link = connect(one, one)
    carry([link], [one])
    assert link.wire.server.is_closed
    assert link.wire.client.server_key == one.identity.public
