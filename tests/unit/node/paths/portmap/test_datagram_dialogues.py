"""PCP and NAT-PMP: what is sent, and what the router's answers come to."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest

from node.paths.portmap.datagram_dialogues import NatPmpDialogue, PcpDialogue
from node.paths.portmap.dialogue import Denied, Granted, Present, Send
from node.paths.portmap.errors import PortMapError
from node.transport.endpoint import Endpoint

GATEWAY, CLIENT = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2")
PORT = 41641
PUBLIC = Endpoint.parse("11.0.0.1:5000")


def only(commands: list[object]) -> bytes:
    [command] = commands
    assert isinstance(command, Send)
    assert command.to == Endpoint(GATEWAY, 5351)
    return command.datagram


def pcp_dialogue() -> PcpDialogue:
    return PcpDialogue(GATEWAY, CLIENT, PORT, lambda size: b"n" * size)


def pcp_answer(request: bytes, *, result: int = 0, lifetime_s: int = 600) -> bytes:
    public = b"\xff\xff" + PUBLIC.ip.packed
    head = struct.pack(">BBBBII", 2, 0x81, 0, result, lifetime_s, 77) + bytes(12)
    return head + request[24:42] + struct.pack(">H", PUBLIC.port) + bytes(10) + public


def test_pcp_announcement_says_that_it_is_spoken() -> None:
    assert only([*pcp_dialogue().probe()])[:2] == b"\x02\x00"
    answer = struct.pack(">BBBBII", 2, 0x80, 0, 0, 0, 77) + bytes(12)
    assert pcp_dialogue().receive(answer) == ([], Present(77))


def test_pcp_grants_the_same_mapping_for_the_same_nonce() -> None:
    dialogue = pcp_dialogue()
    first, again = only([*dialogue.ask(None)]), only([*dialogue.ask(PUBLIC)])
    assert first[24:36] == again[24:36]
    assert again[42:44] == (5000).to_bytes(2, "big")
    assert dialogue.receive(pcp_answer(first)) == ([], Granted(PUBLIC, 600, 77))


def test_pcp_refusal_names_its_reason() -> None:
    dialogue = pcp_dialogue()
    _, answer = dialogue.receive(pcp_answer(only([*dialogue.ask(None)]), result=2))
    assert answer == Denied("PCP: not authorized (code 2)")


def test_pcp_answer_to_the_end_of_a_mapping_grants_nothing() -> None:
    dialogue = pcp_dialogue()
    request = only([*dialogue.give_back(PUBLIC)])
    assert request[4:8] == bytes(4)
    with pytest.raises(PortMapError):
        dialogue.receive(pcp_answer(request, lifetime_s=0))


ADDRESS = struct.pack(">BBHI4s", 0, 128, 0, 77, PUBLIC.ip.packed)
MAPPING = struct.pack(">BBHIHHI", 0, 129, 0, 77, PORT, 5000, 600)


@pytest.mark.parametrize("answers", [(ADDRESS, MAPPING), (MAPPING, ADDRESS)])
def test_nat_pmp_grants_once_both_answers_are_there(answers: tuple[bytes, bytes]) -> None:
    dialogue = NatPmpDialogue(GATEWAY, PORT)
    assert len(dialogue.ask(None)) == 2
    _, first = dialogue.receive(answers[0])
    assert not isinstance(first, Granted)
    assert dialogue.receive(answers[1]) == ([], Granted(PUBLIC, 600, 77))
    assert dialogue.receive(ADDRESS) == ([], Present(77)), "granted once"


def test_nat_pmp_router_without_a_public_address_denies() -> None:
    dialogue = NatPmpDialogue(GATEWAY, PORT)
    dialogue.receive(struct.pack(">BBHI4s", 0, 128, 0, 77, bytes(4)))
    assert isinstance(dialogue.receive(MAPPING)[1], Denied)


def test_nat_pmp_refusal_denies() -> None:
    refusal = struct.pack(">BBHI", 0, 129, 2, 77)
    assert isinstance(NatPmpDialogue(GATEWAY, PORT).receive(refusal)[1], Denied)


def test_nat_pmp_mapping_of_another_port_is_not_ours() -> None:
    other = struct.pack(">BBHIHHI", 0, 129, 0, 77, PORT + 1, 5000, 600)
    with pytest.raises(PortMapError):
        NatPmpDialogue(GATEWAY, PORT).receive(other)


def test_nat_pmp_is_given_back_with_no_lifetime_and_no_port() -> None:
    request = only([*NatPmpDialogue(GATEWAY, PORT).give_back(PUBLIC)])
    assert request == struct.pack(">BBHHHI", 0, 1, 0, PORT, 0, 0)
