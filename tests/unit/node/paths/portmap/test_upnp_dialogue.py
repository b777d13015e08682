"""UPnP's steps against an invented gateway: what it may say no to, and what is tried then."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from node.paths.portmap.dialogue import Denied, Fetch, Granted, Present
from node.paths.portmap.errors import PortMapError
from node.paths.portmap.upnp_dialogue import UpnpDialogue
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from node.paths.portmap.dialogue import Turn

GATEWAY, CLIENT = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2")
PORT = 41641
FOUND = (
    b"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
    b"LOCATION: http://192.168.1.1:5000/root.xml\r\n\r\n"
)


def description(*versions: int) -> bytes:
    services = "".join(
        f"<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:{n}</serviceType>"
        f"<controlURL>/ctl{n}</controlURL></service>"
        for n in versions
    )
    return f"<root>{services}</root>".encode()


def soap(**fields: str) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f"<e><b>{inner}</b></e>".encode()


ADDRESS = soap(NewExternalIPAddress="11.0.0.1")


class Gateway:
    """Keeps the conversation: hands answers over and remembers the request that came of it."""

    def __init__(self, *versions: int) -> None:
        self.dialogue = UpnpDialogue(GATEWAY, CLIENT, PORT, bytes)
        self.request: Fetch | None = None
        self.take(self.dialogue.receive(FOUND))
        assert self.answer(200, description(*versions)) == Present()

    def take(self, turn: Turn) -> object:
        self.request = None
        for command in turn[0]:
            assert isinstance(command, Fetch)
            self.request = command
        return turn[1]

    def ask(self, suggested: Endpoint | None = None) -> None:
        self.take((self.dialogue.ask(suggested), None))

    def answer(self, status: int, body: bytes) -> object:
        assert self.request is not None
        return self.take(self.dialogue.fetched(self.request.number, status, body))

    @property
    def said(self) -> str:
        assert self.request is not None
        return (self.request.body or b"").decode()


def refusal(code: int) -> bytes:
    return soap(errorCode=str(code), errorDescription="no")


def test_second_version_may_choose_the_port() -> None:
    gateway = Gateway(2)
    gateway.ask()
    assert gateway.answer(200, ADDRESS) is None
    assert "AddAnyPortMapping" in gateway.said
    granted = gateway.answer(200, soap(NewReservedPort="7777"))
    assert granted == Granted(Endpoint.parse("11.0.0.1:7777"), 7200)


def test_first_version_is_asked_for_a_drawn_port_and_keeps_a_suggested_one() -> None:
    gateway = Gateway(1)
    gateway.ask()
    gateway.answer(200, ADDRESS)
    assert "<NewExternalPort>1024</NewExternalPort>" in gateway.said
    held = gateway.answer(200, soap())
    assert held == Granted(Endpoint.parse("11.0.0.1:1024"), 7200)
    gateway.ask(Endpoint.parse("11.0.0.1:9999"))
    gateway.answer(200, ADDRESS)
    assert "<NewExternalPort>9999</NewExternalPort>" in gateway.said


@pytest.mark.parametrize("code", [725, 402])
def test_gateway_that_knows_only_permanent_leases_gets_one(code: int) -> None:
    gateway = Gateway(1)
    gateway.ask()
    gateway.answer(200, ADDRESS)
    assert gateway.answer(500, refusal(code)) is None
    assert "<NewLeaseDuration>0</NewLeaseDuration>" in gateway.said
    assert gateway.answer(200, soap()) == Granted(Endpoint.parse("11.0.0.1:1024"), 0)


def test_port_that_another_node_holds_is_drawn_again_a_few_times() -> None:
    gateway = Gateway(1)
    gateway.ask()
    gateway.answer(200, ADDRESS)
    asked = 1
    while (got := gateway.answer(500, refusal(718))) is None:
        asked += 1
    assert asked == 5
    assert isinstance(got, Denied)


def test_next_service_is_asked_when_the_first_refuses() -> None:
    gateway = Gateway(2, 1)
    gateway.ask()
    assert gateway.request is not None
    assert gateway.request.url.endswith("/ctl2")
    assert gateway.answer(500, refusal(606)) is None
    assert gateway.request.url.endswith("/ctl1")
    assert gateway.answer(500, refusal(606)) == Denied("UPnP: no (code 606)")


@pytest.mark.parametrize("address", ["", "0.0.0.0", "nonsense", "::1"])
def test_gateway_without_a_public_address_denies(address: str) -> None:
    gateway = Gateway(2)
    gateway.ask()
    assert isinstance(gateway.answer(200, soap(NewExternalIPAddress=address)), Denied)


def test_silent_gateway_denies_and_is_described_anew() -> None:
    gateway = Gateway(2)
    gateway.ask()
    assert isinstance(gateway.answer(0, b""), Denied)
    assert gateway.dialogue.ask(None) == []
    gateway.dialogue.probe()
    gateway.take(gateway.dialogue.receive(FOUND))
    assert gateway.request is not None
    assert gateway.request.body is None


def test_one_request_at_a_time() -> None:
    gateway = Gateway(2)
    gateway.ask()
    assert gateway.dialogue.ask(None) == []
    assert gateway.dialogue.receive(FOUND) == ([], None)


def test_answer_to_an_earlier_request_is_ignored() -> None:
    gateway = Gateway(2)
    gateway.ask()
    assert gateway.request is not None
    assert gateway.dialogue.fetched(gateway.request.number - 1, 200, ADDRESS) == ([], None)


def test_description_without_a_service_is_no_gateway() -> None:
    dialogue = UpnpDialogue(GATEWAY, CLIENT, PORT, bytes)
    [fetch], _ = dialogue.receive(FOUND)
    assert isinstance(fetch, Fetch)
    with pytest.raises(PortMapError):
        dialogue.fetched(fetch.number, 200, description())


def test_mapping_is_given_back_by_its_external_port() -> None:
    gateway = Gateway(2)
    gateway.take((gateway.dialogue.give_back(Endpoint.parse("11.0.0.1:7777")), None))
    assert "<NewExternalPort>7777</NewExternalPort>" in gateway.said
    assert gateway.answer(200, soap()) is None
