"""Two servers of one region, joined by mesh links in memory."""

from __future__ import annotations

from dataclasses import dataclass

from relay.frames import PeerGone, RecvPacket
from relay.mesh import MeshLink
from relay.session_client import ClientOptions, ClientSession, Disconnected
from tests.support.relay_pair import MESH_KEY, Lab, Wire


@dataclass
class Link:
    """A mesh link from `home` to `away`, carried by hand."""

    home: Lab
    wire: Wire
    link: MeshLink


def connect(home: Lab, away: Lab) -> Link:
    options = ClientOptions(mesh_key=MESH_KEY)
    session = ClientSession(home.identity.keys, options, entropy=home.entropy, now=home.now)
    wire = Wire(session, away.session(), home.identity.keys)
    return Link(home, wire, MeshLink(session, home.router, home.identity.keys.public))


def carry(links: list[Link], labs: list[Lab]) -> Disconnected | None:
    """Move bytes on all links and to all clients until everything is quiet."""
    end = None
    for _ in range(12):
        for link in links:
            up = b"".join(link.wire.client.outbox.take())
            if up:
                link.wire.server.receive(up, 0)
            while link.wire.server.next_event() is not None:
                if link.wire.server.connection is None and not link.wire.server.is_closed:
                    link.wire.server.admit(0)
            down = b"".join(link.wire.server.outbox.take())
            if down:
                link.wire.client.receive(down, 0)
            end = link.link.pump() or end
        for lab in labs:
            lab.settle()
    return end


def region() -> tuple[Lab, Lab, list[Link]]:
    one, two = Lab(seed=1), Lab(seed=2)
    return one, two, [connect(one, two), connect(two, one)]


def test_packet_crosses_the_region_and_back() -> None:
    one, two, links = region()
    a, b = one.join(), two.join()
    carry(links, [one, two])
    a.client.send_packet(b.keys.public, b"there", 0)
    b.client.send_packet(a.keys.public, b"back", 0)
    carry(links, [one, two])
    assert b.packets == [RecvPacket(a.keys.public, b"there")]
    assert a.packets == [RecvPacket(b.keys.public, b"back")]


def test_departure_on_one_server_is_told_on_the_other() -> None:
    one, two, links = region()
    a, b = one.join(), two.join()
    carry(links, [one, two])
    a.client.send_packet(b.keys.public, b"hello", 0)
    carry(links, [one, two])
    a.server.disconnected()
    carry(links, [one, two])
    assert PeerGone(a.keys.public) in b.events


def test_client_that_moves_within_the_region_is_not_gone() -> None:
    one, two, links = region()
    a, b = one.join(), two.join()
    carry(links, [one, two])
    a.client.send_packet(b.keys.public, b"hello", 0)
    carry(links, [one, two])
    two.join(a.keys)
    carry(links, [one, two])
    a.server.disconnected()
    carry(links, [one, two])
    assert PeerGone(a.keys.public) not in b.events


def test_lost_link_takes_its_forwarders_along() -> None:
    one, two, links = region()
    one.join()
    two.join()
    carry(links, [one, two])
    assert one.router.key_counts()[1] == 1
    links[0].wire.client.disconnected("cut")
    assert links[0].link.pump() is not None
    assert one.router.key_counts()[1] == 0


def test_two_links_to_one_client_prefer_the_first() -> None:
    one, two, three = Lab(seed=1), Lab(seed=2), Lab(seed=3)
    links = [connect(one, two), connect(one, three)]
    a, b = one.join(), two.join()
    carry(links, [one, two, three])
    three.join(b.keys)
    carry(links, [one, two, three])
    a.client.send_packet(b.keys.public, b"x", 0)
    carry(links, [one, two, three])
    assert len(b.packets) == 1
    assert one.router.counters.multiforwarder_created == 1


def test_link_to_oneself_is_noticed_for_good() -> None:
    one = Lab()
    link = connect(one, one)
    assert carry([link], [one]) is not None
    assert link.link.is_self
