"""Two path-discovering hosts in the NAT laboratory: which path they reach, and how soon.

Run as root, `python -m tests.e2e.netns.natlab_pairs` prints the table of all pairs beside what
theory allows.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.paths.peer_path import PathKind
from relay.admission import AdmitEveryone
from relay.app import Relay
from relay.server.stun_socket import StunSocket
from tests.support.disco_host import DiscoHost
from tests.support.live_relay import config
from tests.support.natlab import RULES, SERVERS, NatLab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CLASSES: list[str] = RULES["matrix_classes"]
CLOCK_RATE = 4.0
TICK_S = 0.05
PATIENCE_S = 4.0
"""Sixteen seconds of the machines' time: three rounds of discovery."""
RELAY_PORT = 443
STUN_PORT = 3478


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pair came to."""

    is_direct: bool
    seconds: float
    """Until both sides were direct, on the machines' clock; the whole wait if they never were."""
    carried_by_relay: bool
    """Whether the first packets arrived by relay, before anything was proven."""


@asynccontextmanager
async def services(lab: NatLab) -> AsyncIterator[Relay]:
    """Run a relay on TCP 443 and two STUN servers in the internet of the laboratory."""
    listener = lab.listener("srv", SERVERS[0], RELAY_PORT)
    with lab.within("srv"):
        stun = [StunSocket(host, STUN_PORT) for host in SERVERS]
    loop = asyncio.get_running_loop()
    async with Relay(config(listen=None, stun=()), AdmitEveryone()) as relay:
        for sock in stun:
            sock.start()
        factory = relay.listener_factory(asyncio.Protocol, None)
        server = await loop.create_server(factory, sock=listener)
        try:
            yield relay
        finally:
            server.close()
            for sock in stun:
                sock.close()


async def open_host(lab: NatLab, name: str) -> DiscoHost:
    """Bring one host up to where it could be told of peers."""
    host = DiscoHost(clock_rate=CLOCK_RATE)
    await host.open(lab.udp(name))
    await host.join_relay(lab.tcp(name), (SERVERS[0], RELAY_PORT))
    await host.find_endpoints([(server, STUN_PORT) for server in SERVERS])
    return host


@asynccontextmanager
async def talking(lab: NatLab) -> AsyncIterator[tuple[DiscoHost, DiscoHost]]:
    """Two hosts that know each other; the caller makes them talk."""
    a, b = await open_host(lab, "lanA"), await open_host(lab, "lanB")
    a.meet(b)
    b.meet(a)
    try:
        yield a, b
    finally:
        await a.close()
        await b.close()


def both(a: DiscoHost, b: DiscoHost, *kinds: PathKind) -> Callable[[], bool]:
    """Return a condition: the paths of both hosts are of one of these kinds."""
    return lambda: a.kind(b) in kinds and b.kind(a) in kinds


async def talk_until(
    a: DiscoHost, b: DiscoHost, condition: Callable[[], bool], within_s: float
) -> float:
    """Talk until a condition holds; return how long it took on the machines' clock.

    Raises TimeoutError when it takes longer than `within_s` of that clock.
    """
    start = a.now()
    while not condition():
        if a.now() - start > within_s:
            raise TimeoutError(f"{a.kind(b).value} and {b.kind(a).value} after {within_s} s")
        a.send(b, b"\x04 from a")
        b.send(a, b"\x04 from b")
        await asyncio.sleep(TICK_S)
    return a.now() - start


async def meet(lab: NatLab) -> Outcome:
    """Let two hosts talk until both are direct or patience ends."""
    async with talking(lab) as (a, b):
        try:
            seconds = await talk_until(a, b, both(a, b, PathKind.DIRECT), PATIENCE_S * CLOCK_RATE)
            is_direct = True
        except TimeoutError:
            seconds, is_direct = PATIENCE_S * CLOCK_RATE, False
        await asyncio.sleep(TICK_S)
        carried = bool(a.heard_by_relay and b.heard_by_relay)
        return Outcome(is_direct, seconds, carried)


def expected(a: str, b: str) -> bool:
    """Whether theory, and real clients measured in the same laboratory, make a pair direct."""
    matrix: dict[str, str] = RULES["matrix"]
    return (matrix.get(f"{a}|{b}") or matrix[f"{b}|{a}"]) == "direct"


async def table() -> int:
    """Print every pair; return how many differ from theory."""
    wrong = 0
    with NatLab() as lab:
        async with services(lab):
            for number, a in enumerate(CLASSES):
                for b in CLASSES[number:]:
                    lab.set_class("A", a)
                    lab.set_class("B", b)
                    found = await meet(lab)
                    verdict = "" if found.is_direct == expected(a, b) else "  NOT AS IN THEORY"
                    wrong += bool(verdict)
                    path = "direct" if found.is_direct else "relay"
                    line = f"{a:24}{b:24}{path:8}{found.seconds:6.1f} s{verdict}"
                    print(line, flush=True)  # noqa: T201  the table is the purpose
    return wrong


if __name__ == "__main__":
    sys.exit(bool(asyncio.run(table())))
