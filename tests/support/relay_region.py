"""Relays of one region in memory, joined by mesh links that are carried by hand."""

from __future__ import annotations

from dataclasses import dataclass

from relay.mesh import MeshLink
from relay.session_client import ClientOptions, ClientSession, RelayReady
from relay.session_server import AdmissionAsked
from tests.support.relay_pair import MESH_KEY, Lab, Wire


@dataclass
class Link:
    """A mesh link, carried by hand."""

    wire: Wire
    link: MeshLink

    def hear(self) -> None:
        while (event := self.wire.client.next_event()) is not None:
            if isinstance(event, RelayReady):
                self.link.start(self.wire.client)
            self.link.hear(event)


def connect(home: Lab, away: Lab) -> Link:
    options = ClientOptions(mesh_key=MESH_KEY)
    session = ClientSession(home.identity.private, options, entropy=home.entropy, now=home.now)
    wire = Wire(session, away.session(), home.identity.private)
    return Link(wire, MeshLink(home.router, home.identity.public))


def carry(links: list[Link], labs: list[Lab]) -> None:
    """Move bytes on all links and to all clients until everything is quiet."""
    for _ in range(12):
        for link in links:
            up = b"".join(link.wire.client.outbox.take())
            if up:
                link.wire.server.receive(up, 0)
            while (asked := link.wire.server.next_event()) is not None:
                if isinstance(asked, AdmissionAsked):
                    link.wire.server.admit(0)
            down = b"".join(link.wire.server.outbox.take())
            if down:
                link.wire.client.receive(down, 0)
            link.hear()
        for lab in labs:
            lab.settle()


def region() -> tuple[Lab, Lab, list[Link]]:
    one, two = Lab(seed=1), Lab(seed=2)
    return one, two, [connect(one, two), connect(two, one)]
