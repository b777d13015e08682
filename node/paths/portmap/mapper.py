"""Keeps one UDP port of ours mapped at the router, by the best protocol that it speaks.

        no router ── set_gateway ──► PROBING ── somebody answers ──► ASKING ── granted ──► HELD
            ▲                          ▲   ▲                            │                   │
            └────── set_gateway ───────┘   └── denied, or no answer ────┴── expired ────────┘

PCP and NAT-PMP say how long they have kept their state: a step back means that the router started
anew, and the mapping is asked for again at once. UPnP says nothing, so it is asked more often.
Source: relay reference 3.15.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from node.paths.portmap import pcp
from node.paths.portmap.datagram_dialogues import NatPmpDialogue, PcpDialogue
from node.paths.portmap.dialogue import Denied, Granted, Present, Service
from node.paths.portmap.epoch import EpochWatch
from node.paths.portmap.errors import PortMapError
from node.paths.portmap.upnp_dialogue import UpnpDialogue

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from control.keys import Entropy
    from node.paths.portmap.dialogue import Command, Dialogue, Turn
    from node.transport.endpoint import Endpoint

__all__ = ["MappingChanged", "PortMapper"]

DECIDE_S: Final = 0.25
"""Answers within this time are compared; later ones are taken as they come."""
PROBE_TRIES: Final = 4
PROBE_EVERY_S: Final = 300.0
ASK_TRIES: Final = 4
ASK_FIRST_S: Final = 1.0
CHECK_EVERY_S: Final = 60.0
DENIED_FOR_S: Final = 600.0
UPNP_RENEW_S: Final = 1200.0


class _Timer(Enum):
    DECIDE = "decide"
    PROBE = "probe"
    ASK = "ask"
    RENEW = "renew"
    CHECK = "check"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class MappingChanged:
    """The router's address that leads to us is another one now, or there is none any more."""

    external: Endpoint | None
    service: Service | None
    reason: str = ""


class PortMapper:
    """Wishes, timers and what came of them. One port, one router at a time."""

    def __init__(self, port: int, entropy: Entropy) -> None:
        self._port = port
        self._entropy = entropy
        self._gateway: IPv4Address | None = None
        self._dialogues: dict[Service, Dialogue] = {}
        self._epochs: dict[Service, EpochWatch] = {}
        self._denied_until: dict[Service, float] = {}
        self._asked: Service | None = None
        self._grant: Granted | None = None
        self._asks = self._probes = 0
        self._timers: dict[_Timer, float] = {}
        self._out: list[Command] = []
        self._events: deque[MappingChanged] = deque()
        self.present: set[Service] = set()
        """The protocols that the router answered."""
        self.has_probed = False
        """Whether the router was asked at all and had the time to answer."""

    @property
    def external(self) -> Endpoint | None:
        """The router's address that leads to our port."""
        return self._grant.external if self._grant is not None else None

    def transmit(self) -> list[Command]:
        """Return what to send and to fetch now, in order."""
        out, self._out = self._out, []
        return out

    def next_event(self) -> MappingChanged | None:
        """Return what happened next, None when nothing did."""
        return self._events.popleft() if self._events else None

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        return min(self._timers.values(), default=None)

    # What comes in.

    def set_gateway(
        self, gateway: IPv4Address | None, client: IPv4Address | None, now: float
    ) -> None:
        """Start with a router, which maps for our address in its network; None for no router.

        Routers with a public address of their own are left alone: they are no NAT of ours.
        """
        self._timers.clear()
        self.present.clear()
        self._denied_until.clear()
        self._asked, self.has_probed = None, False
        self._drop("the router is another one")
        self._dialogues = {}
        if gateway is None or client is None or not gateway.is_private:
            self._gateway = None
            return
        self._gateway = gateway
        dialogues: tuple[Dialogue, ...] = (
            PcpDialogue(gateway, client, self._port, self._entropy),
            NatPmpDialogue(gateway, self._port),
            UpnpDialogue(gateway, client, self._port, self._entropy),
        )
        self._dialogues = {dialogue.service: dialogue for dialogue in dialogues}
        self._epochs = {service: EpochWatch() for service in self._dialogues}
        self._probe_anew(now)

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> None:
        """Take a datagram; only the router's own are read."""
        if source.ip != self._gateway or not datagram:
            return
        service = Service.UPNP
        if source.port == pcp.PORT:
            service = Service.PCP if datagram[0] == pcp.VERSION else Service.NAT_PMP
        try:
            turn = self._dialogues[service].receive(datagram)
        except PortMapError:
            # Whoever sends it can send it at any time: it must not end what works.
            return
        self._take(service, turn, now)

    def fetched(self, number: int, status: int, body: bytes, now: float) -> None:
        """Take the answer to a `Fetch`; a status of 0 says that there was none."""
        dialogue = self._dialogues.get(Service.UPNP)
        if dialogue is None:
            return
        try:
            turn = dialogue.fetched(number, status, body)
        except PortMapError as error:
            turn = [], Denied(str(error))
        self._take(Service.UPNP, turn, now)

    def give_back(self) -> None:
        """End the mapping: we are leaving."""
        if self._grant is not None and self._asked is not None:
            self._out += self._dialogues[self._asked].give_back(self._grant.external)
        self._timers.clear()
        self._drop("given back")

    def on_deadline(self, now: float) -> None:
        """Serve the timers that are due."""
        for timer in [timer for timer, at in self._timers.items() if at <= now]:
            # An earlier one may have stopped or moved it.
            if self._timers.get(timer, now + 1) <= now:
                del self._timers[timer]
                self._serve(timer, now)

    def _serve(self, timer: _Timer, now: float) -> None:
        match timer:
            case _Timer.DECIDE:
                self._decide(now)
            case _Timer.PROBE:
                self._probe_anew(now)
            case _Timer.ASK:
                self._ask_again(now)
            case _Timer.RENEW:
                self._begin_asking(now)
            case _Timer.CHECK:
                self._timers[_Timer.CHECK] = now + CHECK_EVERY_S
                if self._asked is not None:
                    self._out += self._dialogues[self._asked].probe()
            case _Timer.EXPIRE:
                self._give_up("not renewed in time", now)

    # What is learnt.

    def _take(self, service: Service, turn: Turn, now: float) -> None:
        commands, answer = turn
        self._out += commands
        match answer:
            case Present(epoch_s):
                self.present.add(service)
                self._check_epoch(service, epoch_s, now)
                is_undecided = self._asked is None and _Timer.DECIDE not in self._timers
                if self._asked is None and (service is Service.PCP or is_undecided):
                    self._decide(now)
            case Granted():
                self.present.add(service)
                if service is self._asked:
                    self._hold(service, answer, now)
            case Denied(reason):
                if service is self._asked:
                    self._give_up(reason, now)
                else:
                    self._denied_until[service] = now + DENIED_FOR_S

    def _check_epoch(self, service: Service, epoch_s: int | None, now: float) -> None:
        if epoch_s is None or not self._epochs[service].note(epoch_s, now):
            return
        if service is self._asked and self._grant is not None:
            self._begin_asking(now)

    def _hold(self, service: Service, grant: Granted, now: float) -> None:
        before, self._grant = self._grant, grant
        if grant.epoch_s is not None:
            self._epochs[service].note(grant.epoch_s, now)
        for timer in (_Timer.ASK, _Timer.DECIDE, _Timer.PROBE, _Timer.EXPIRE):
            self._timers.pop(timer, None)
        renew_s = grant.lifetime_s / 2 if grant.lifetime_s else UPNP_RENEW_S
        if service is Service.UPNP:
            renew_s = min(renew_s, UPNP_RENEW_S)
        else:
            self._timers.setdefault(_Timer.CHECK, now + CHECK_EVERY_S)
        self._timers[_Timer.RENEW] = now + renew_s
        if grant.lifetime_s:
            self._timers[_Timer.EXPIRE] = now + grant.lifetime_s
        if before is None or before.external != grant.external:
            self._events.append(MappingChanged(grant.external, service))

    # What is wished.

    def _probe_anew(self, now: float) -> None:
        self._probes = 0
        self.present.clear()
        self._timers.pop(_Timer.PROBE, None)
        self._probe(now)

    def _probe(self, now: float) -> None:
        self._probes += 1
        for service, dialogue in self._dialogues.items():
            if self._is_welcome(service, now):
                self._out += dialogue.probe()
        # A lost answer costs twice the time each round.
        self._timers[_Timer.DECIDE] = now + DECIDE_S * 2 ** (self._probes - 1)

    def _decide(self, now: float) -> None:
        self._timers.pop(_Timer.DECIDE, None)
        self.has_probed = True
        for service in self._dialogues:
            if service in self.present and self._is_welcome(service, now):
                self._asked = service
                self._begin_asking(now)
                return
        if self._probes < PROBE_TRIES and not self.present:
            self._probe(now)
        else:
            self._timers[_Timer.PROBE] = now + PROBE_EVERY_S

    def _is_welcome(self, service: Service, now: float) -> bool:
        return now >= self._denied_until.get(service, now)

    def _begin_asking(self, now: float) -> None:
        self._asks = 0
        self._timers.pop(_Timer.RENEW, None)
        self._ask(now)

    def _ask(self, now: float) -> None:
        if self._asked is None:
            return
        self._asks += 1
        self._timers[_Timer.ASK] = now + ASK_FIRST_S * 2 ** (self._asks - 1)
        self._out += self._dialogues[self._asked].ask(self.external)

    def _ask_again(self, now: float) -> None:
        # What is held is asked for until it ends by itself, what is not only for a while.
        if self._asks < ASK_TRIES or _Timer.EXPIRE in self._timers:
            self._ask(now)
        else:
            self._give_up("the router does not answer", now)

    def _give_up(self, reason: str, now: float) -> None:
        """End with the protocol that was asked, for a while unless it had granted before."""
        service, had_granted = self._asked, self._grant is not None
        self._drop(reason)
        self._asked = None
        for timer in (_Timer.ASK, _Timer.RENEW, _Timer.CHECK, _Timer.EXPIRE):
            self._timers.pop(timer, None)
        if had_granted:
            # The router may have started anew, with another port for its HTTP.
            self._probe_anew(now)
        elif service is not None:
            self._denied_until[service] = now + DENIED_FOR_S
            self._decide(now)

    def _drop(self, reason: str) -> None:
        if self._grant is not None:
            self._grant = None
            self._events.append(MappingChanged(None, self._asked, reason))
