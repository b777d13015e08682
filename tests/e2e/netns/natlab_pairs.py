"""Two path-discovering hosts in the NAT laboratory: which path they reach, and how soon.

Run as root, `python -m tests.e2e.netns.natlab_pairs [--json]` prints the table of all pairs beside
what theory allows; `--only NAME` prints the pairs of one kind, with `--with NAME` the one pair with
that other, `--tries N` each so often. `--no-prediction` shows what they come to without telling
peers which ports our NAT may give next, `--no-birthday` without guessing ports.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from node.paths.news import PathKind
from relay.admission import AdmitEveryone
from relay.app import Relay
from relay.server.stun_socket import StunSocket
from relay.server.tls import self_signed, server_context
from tests.support.disco_host import DiscoHost
from tests.support.live_relay import config
from tests.support.natlab import CARRIER, RULES, SEQUENTIAL, SERVERS, SERVERS6, NatLab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

CLOCK_RATE = 4.0
TICK_S = 0.05
PATIENCE_S = 4.0
"""Sixteen seconds of the machines' time: three rounds of discovery."""
GUESSING_S = 8.0
"""Thirty-two seconds of it: two rounds of discovery, and one of guessing with all its waits."""
RELAY_PORT = 443
STUN_PORT = 3478


@dataclass(frozen=True, slots=True)
class Kind:
    """What a host stands behind."""

    name: str
    router: str
    """NAT class of its router."""
    carrier: str = ""
    """NAT class of a second router in front of that one."""
    ipv6: str = ""
    """Empty for no IPv6, else `open` or `firewalled`."""

    @property
    def strictest(self) -> str:
        """The NAT class that decides over IPv4: of two in a row the stricter one."""
        if self.router == "web-only":
            return "udp-blocked"
        return self.carrier or self.router


CLASSES: list[str] = RULES["matrix_classes"]
KINDS = [
    *(Kind(name, name) for name in CLASSES),
    Kind("symmetric-sequential", SEQUENTIAL),
    Kind("web-only", "web-only"),
    Kind("two-easy-nats", "port-restricted", carrier="port-restricted-rnd"),
    Kind("easy-then-symmetric", "port-restricted", carrier="symmetric"),
    Kind("ipv6-open", "symmetric", ipv6="open"),
    Kind("ipv6-firewalled", "symmetric", ipv6="firewalled"),
]
EASY = {"port-restricted", "port-restricted-rnd"}
HARD = {"addr-dependent-mapping", "symmetric", SEQUENTIAL}
BY_NAME = {kind.name: kind for kind in KINDS}
PAIRS = [(a, b) for n, a in enumerate(KINDS) for b in KINDS[n:]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pair came to."""

    is_direct: bool
    seconds: float
    """Until both sides were direct, on the machines' clock; the whole wait if they never were."""
    carried_by_relay: bool
    """Whether the first packets arrived by relay, before anything was proven."""
    datagrams: int
    """What both sides sent over UDP for it."""
    most_sockets: int
    """The most spare sockets that one side had open."""
    sockets_left: int
    """How many spare sockets were open at the end."""


@asynccontextmanager
async def services(lab: NatLab) -> AsyncIterator[Relay]:
    """Run a relay on TCP 443 with TLS and two STUN servers in the internet of the laboratory."""
    listener = lab.listener("srv", SERVERS[0], RELAY_PORT)
    with lab.within("srv"):
        hosts = (*SERVERS, *(SERVERS6 if lab.with_ipv6 else ()))
        stun = [StunSocket(host, STUN_PORT) for host in hosts]
    loop = asyncio.get_running_loop()
    certificate, key, _ = self_signed(SERVERS[0], datetime.now(UTC))
    settings = config(listen=None, stun=())
    tls = server_context(certificate, key, settings.private.public.raw)
    async with Relay(settings, AdmitEveryone()) as relay:
        for sock in stun:
            sock.start()
        factory = relay.listener_factory(asyncio.Protocol, tls)
        server = await loop.create_server(factory, sock=listener)
        try:
            yield relay
        finally:
            server.close()
            for sock in stun:
                sock.close()


async def open_host(
    lab: NatLab, name: str, *, ipv6: bool = False, predicts: bool = True, guesses: bool = False
) -> DiscoHost:
    """Bring one host up to where it could be told of peers."""
    host = DiscoHost(
        clock_rate=CLOCK_RATE,
        predicts=predicts,
        guesses=guesses,
        open_spare=lambda: lab.udp(name),
    )
    await host.open(lab.udp(name))
    servers: tuple[str, ...] = SERVERS
    if ipv6:
        await host.open6(lab.udp(name, "::"))
        servers += SERVERS6
    await host.join_relay(lab.tcp(name), (SERVERS[0], RELAY_PORT))
    await host.find_endpoints([(server, STUN_PORT) for server in servers])
    return host


@asynccontextmanager
async def talking(
    lab: NatLab,
    *,
    ipv6: tuple[bool, bool] = (False, False),
    predicts: bool = True,
    guesses: bool = False,
) -> AsyncIterator[tuple[DiscoHost, DiscoHost]]:
    """Two hosts that know each other; the caller makes them talk."""
    a = await open_host(lab, "lanA", ipv6=ipv6[0], predicts=predicts, guesses=guesses)
    b = await open_host(lab, "lanB", ipv6=ipv6[1], predicts=predicts, guesses=guesses)
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


async def meet(
    lab: NatLab, first: Kind, second: Kind, *, predicts: bool = True, guesses: bool = False
) -> Outcome:
    """Let two hosts talk until both are direct or patience ends."""
    patience_s = GUESSING_S if guesses else PATIENCE_S
    for side, kind in (("A", first), ("B", second)):
        lab.set_class(side, kind.router)
        if kind.carrier:
            lab.set_class(CARRIER[side], kind.carrier)
        if kind.ipv6 == "firewalled":
            lab.add_ipv6_firewall(side)
    ipv6 = bool(first.ipv6), bool(second.ipv6)
    async with talking(lab, ipv6=ipv6, predicts=predicts, guesses=guesses) as (a, b):
        try:
            seconds = await talk_until(a, b, both(a, b, PathKind.DIRECT), patience_s * CLOCK_RATE)
            is_direct = True
        except TimeoutError:
            seconds, is_direct = patience_s * CLOCK_RATE, False
        # The relay may be slower than a direct path that was proven with the first packet.
        for _ in range(round(PATIENCE_S / TICK_S)):
            if a.heard_by_relay and b.heard_by_relay:
                break
            await asyncio.sleep(TICK_S)
        carried = bool(a.heard_by_relay and b.heard_by_relay)
        return Outcome(
            is_direct,
            seconds,
            carried,
            a.sent_datagrams + b.sent_datagrams,
            most_sockets=max(a.most_spares, b.most_spares),
            sockets_left=len(a.spares) + len(b.spares),
        )


def expected(a: Kind, b: Kind, *, predicts: bool = True, guesses: bool = False) -> bool:
    """Whether theory, and real clients measured in the same laboratory, make a pair direct."""
    if a.ipv6 and b.ipv6:
        return True
    one, other = a.strictest, b.strictest
    # A NAT that counts is found by whoever keeps one port for everybody.
    if predicts and SEQUENTIAL in {one, other} and {one, other} & EASY:
        return True
    # A NAT that keeps one port for everybody finds one of many ports of a NAT that does not.
    if guesses and {one, other} & EASY and {one, other} & HARD:
        return True
    matrix: dict[str, str] = RULES["matrix"]
    one, other = (name.replace(SEQUENTIAL, "symmetric") for name in (one, other))
    return (matrix.get(f"{one}|{other}") or matrix[f"{other}|{one}"]) == "direct"


def laboratory(a: Kind, b: Kind) -> NatLab:
    """Return the laboratory that a pair needs."""
    carriers = [side for side, kind in (("A", a), ("B", b)) if kind.carrier]
    return NatLab(with_ipv6=bool(a.ipv6 or b.ipv6), carriers=carriers)


async def outcomes(
    pairs: Iterable[tuple[Kind, Kind]], *, predicts: bool, guesses: bool
) -> AsyncIterator[tuple[Kind, Kind, Outcome]]:
    """Try pairs, as many as possible in one laboratory."""

    def needs(pair: tuple[Kind, Kind]) -> tuple[bool, bool, bool]:
        a, b = pair
        return bool(a.ipv6 or b.ipv6), bool(a.carrier), bool(b.carrier)

    for _, group in groupby(sorted(pairs, key=needs), key=needs):
        alike = list(group)
        with laboratory(*alike[0]) as lab:
            async with services(lab):
                for a, b in alike:
                    yield a, b, await meet(lab, a, b, predicts=predicts, guesses=guesses)


async def table(
    pairs: Iterable[tuple[Kind, Kind]], *, as_json: bool, predicts: bool, guesses: bool
) -> int:
    """Print every pair; return how many differ from theory."""
    wrong = 0
    rows = []
    async for a, b, found in outcomes(pairs, predicts=predicts, guesses=guesses):
        can_be_direct = expected(a, b, predicts=predicts, guesses=guesses)
        is_right = found.is_direct == can_be_direct and found.carried_by_relay
        wrong += not is_right
        path, theory = ("direct" if yes else "relay" for yes in (found.is_direct, can_be_direct))
        if as_json:
            names = {"a": a.name, "b": b.name, "path": path, "theory": theory}
            rows.append({**names, **asdict(found)})
            continue
        verdict = "" if is_right else "  NOT AS IN THEORY"
        line = f"{a.name:24}{b.name:24}{path:8}{theory:8}{found.seconds:6.1f} s"
        line += f"{found.datagrams:6} datagrams{found.most_sockets:5} spare sockets, "
        line += f"{found.sockets_left} kept{verdict}"
        print(line, flush=True)  # noqa: T201  the table is the purpose
    if as_json:
        print(json.dumps({"pairs": rows, "wrong": wrong}, indent=1))  # noqa: T201  likewise
    return wrong


def main() -> int:
    """Print the table that the arguments ask for; 1 when a pair differs from theory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=BY_NAME, metavar="NAME")
    parser.add_argument("--no-prediction", action="store_true")
    parser.add_argument("--with", dest="other", choices=BY_NAME, metavar="NAME")
    parser.add_argument("--no-birthday", action="store_true")
    parser.add_argument("--tries", type=int, default=1, metavar="N")
    options = parser.parse_args()
    wanted = {options.only, options.other} - {None}
    pairs = [p for p in PAIRS if wanted <= {p[0].name, p[1].name}] * options.tries
    counted = table(
        pairs,
        as_json=options.json,
        predicts=not options.no_prediction,
        guesses=not options.no_birthday,
    )
    return bool(asyncio.run(counted))


if __name__ == "__main__":
    sys.exit(main())
