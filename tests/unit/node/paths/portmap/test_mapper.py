"""When a port is wished for, kept, asked for again and given up, against an invented router."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.paths.portmap.dialogue import Fetch, Send, Service
from node.paths.portmap.mapper import MappingChanged, PortMapper
from node.transport.endpoint import Endpoint

GATEWAY, CLIENT = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2")
PORT = 41641
ROUTER = Endpoint(GATEWAY, 5351)


class Router:
    """Speaks PCP and NAT-PMP as it is told, and moves the clock."""

    def __init__(self, mapper: PortMapper, *, speaks: str = "pcp pmp") -> None:
        self.mapper = mapper
        self.speaks = speaks.split()
        self.public = "11.0.0.1"
        self.refuses = False
        self.born_at = 0.0
        self.now = 1000.0
        self.requests: list[tuple[float, int, int]] = []
        """When, version, operation."""

    def serve(self) -> None:
        while commands := self.mapper.transmit():
            for command in commands:
                if isinstance(command, Send) and command.to == ROUTER:
                    self._serve_one(command.datagram)

    def _serve_one(self, datagram: bytes) -> None:
        version, operation = datagram[0], datagram[1]
        self.requests.append((self.now, version, operation))
        epoch = round(self.now - self.born_at)
        if version == 2 and "pcp" in self.speaks:
            self._answer(self._pcp(datagram, operation, epoch))
        elif version == 0 and "pmp" in self.speaks:
            self._answer(self._pmp(datagram, operation, epoch))

    def _pcp(self, datagram: bytes, operation: int, epoch: int) -> bytes:
        result = 2 if self.refuses and operation == 1 else 0
        lifetime = datagram[4:8]
        head = struct.pack(">BBBB4sI", 2, 0x80 | operation, 0, result, lifetime, epoch) + bytes(12)
        if operation == 0:
            return head
        public = bytes(10) + b"\xff\xff" + IPv4Address(self.public).packed
        return head + datagram[24:42] + struct.pack(">H", 5000) + public

    def _pmp(self, datagram: bytes, operation: int, epoch: int) -> bytes:
        if operation == 0:
            return struct.pack(">BBHI4s", 0, 128, 0, epoch, IPv4Address(self.public).packed)
        lifetime = datagram[8:12]
        return struct.pack(">BBHIHH4s", 0, 129, 0, epoch, PORT, 6000, lifetime)

    def _answer(self, datagram: bytes) -> None:
        self.mapper.receive(datagram, ROUTER, self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self.serve()
        while (due := self.mapper.deadline()) is not None and due <= end:
            self.now = max(due, self.now)
            self.mapper.on_deadline(self.now)
            self.serve()
        self.now = end

    def news(self) -> list[MappingChanged]:
        found = []
        while (event := self.mapper.next_event()) is not None:
            found.append(event)
        return found


def started(speaks: str = "pcp pmp") -> Router:
    router = Router(PortMapper(PORT, lambda size: b"n" * size), speaks=speaks)
    router.mapper.set_gateway(GATEWAY, CLIENT, router.now)
    return router


def test_pcp_is_preferred_and_asked_at_once() -> None:
    router = started()
    router.run(0.1)
    assert router.news() == [MappingChanged(Endpoint.parse("11.0.0.1:5000"), Service.PCP)]


def test_older_protocol_is_taken_after_a_quarter_of_a_second() -> None:
    router = started("pmp")
    router.run(0.2)
    assert router.news() == []
    router.run(0.1)
    assert router.news() == [MappingChanged(Endpoint.parse("11.0.0.1:6000"), Service.NAT_PMP)]
    assert router.mapper.present == {Service.NAT_PMP}


def test_silent_router_is_asked_a_few_times_and_then_every_five_minutes() -> None:
    router = started("")
    router.run(299)
    assert len([r for r in router.requests if r[1] == 2]) == 4
    assert router.mapper.has_probed
    router.run(10)
    assert len([r for r in router.requests if r[1] == 2]) == 8
    assert router.news() == []


@pytest.mark.parametrize("speaks", ["pcp", "pmp"])
def test_mapping_is_renewed_at_half_its_life_and_stays(speaks: str) -> None:
    router = started(speaks)
    router.run(5 * 7200 - 60)
    assert len(router.news()) == 1
    operation = 1
    asked = [r for r in router.requests if r[2] == operation]
    assert [round(at - 1000) // 60 for at, _, _ in asked] == [n * 60 for n in range(10)]


@pytest.mark.parametrize("speaks", ["pcp", "pmp"])
def test_router_that_started_anew_is_asked_again_within_a_minute(speaks: str) -> None:
    router = started(speaks)
    router.run(600)
    router.news()
    router.requests.clear()
    router.born_at, router.public = router.now - 5, "11.0.0.2"
    router.run(61)
    assert 1 in {operation for _, _, operation in router.requests}
    assert [str(event.external) for event in router.news()] in (
        ["11.0.0.2:5000"],
        ["11.0.0.2:6000"],
    )


def test_refused_protocol_gives_way_to_the_next_for_ten_minutes() -> None:
    router = started()
    router.refuses = True
    router.run(1)
    assert [event.service for event in router.news()] == [Service.NAT_PMP]


def test_renewal_that_is_not_answered_ends_with_the_lifetime() -> None:
    router = started("pcp")
    router.run(1)
    router.news()
    router.speaks = []
    router.run(7190)
    assert router.mapper.external is not None
    router.run(20)
    [event] = router.news()
    assert event.external is None
    assert event.reason == "not renewed in time"
    router.speaks = ["pcp"]
    router.run(301)
    assert router.mapper.external is not None


def test_other_gateway_starts_over() -> None:
    router = started()
    router.run(1)
    router.news()
    router.mapper.set_gateway(IPv4Address("192.168.7.1"), CLIENT, router.now)
    assert [event.external for event in router.news()] == [None]
    router.run(0.1)
    assert router.mapper.external is None, "the old router's answers count no more"
    router.mapper.set_gateway(None, None, router.now)
    assert router.mapper.deadline() is None


def test_gateway_with_a_public_address_is_left_alone() -> None:
    mapper = PortMapper(PORT, bytes)
    mapper.set_gateway(IPv4Address("11.0.0.1"), IPv4Address("11.0.0.2"), 0.0)
    assert mapper.transmit() == []
    assert mapper.deadline() is None


def test_mapping_is_given_back() -> None:
    router = started("pcp")
    router.run(1)
    router.mapper.give_back()
    [request] = router.mapper.transmit()
    assert isinstance(request, Send)
    assert request.datagram[4:8] == bytes(4)
    assert router.mapper.external is None
    assert router.mapper.deadline() is None


def test_only_the_gateway_is_believed() -> None:
    mapper = PortMapper(PORT, lambda size: b"n" * size)
    router = Router(mapper)
    mapper.set_gateway(GATEWAY, CLIENT, router.now)
    mapper.transmit()
    announcement = struct.pack(">BBBBII", 2, 0x80, 0, 0, 0, 77) + bytes(12)
    mapper.receive(announcement, Endpoint.parse("192.168.1.9:5351"), router.now)
    assert mapper.present == set()
    mapper.receive(announcement, ROUTER, router.now)
    assert mapper.present == {Service.PCP}


@given(
    datagrams=st.lists(st.tuples(st.binary(max_size=80), st.sampled_from([5351, 1900])), max_size=8)
)
def test_hostile_answers_neither_crash_nor_map(datagrams: list[tuple[bytes, int]]) -> None:
    router = started("")
    for datagram, port in datagrams:
        router.mapper.receive(datagram, Endpoint(GATEWAY, port), router.now)
        router.run(0.3)
    assert router.mapper.external is None
    # A search answer may lead to a description, never anywhere but to the gateway.
    for command in router.mapper.transmit():
        assert isinstance(command, Send) or command.url.startswith(f"http://{GATEWAY}")
        assert not isinstance(command, Fetch) or command.body is None
