"""Which relay connections to hold, and which of them leads to a peer (relay reference 1.15).

The home connection stays for ever; others open when something has to be written and close a
minute after the last write. A driver dials and closes as it is told and reports what happened.

A relay that vanished without a word is noticed by asking: TCP alone would keep what we write for
minutes. Meanwhile, and while a peer's home cannot be reached, its packets go by our own home: a
peer that lost the same relay moves to where we moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["CloseRegion", "OpenRegion", "PingRegion", "RelayChoice", "SetHome"]

IDLE_S: Final = 60.0
BACKOFF_LEAST_S: Final = 0.25
BACKOFF_MOST_S: Final = 5.0
SILENT_S: Final = 1.5
"""A relay that we write to and that sent nothing for so long is asked whether it is there."""
HOME_SILENT_S: Final = 20.0
"""The home relay is asked even when we write nothing: others reach us by it."""
ANSWER_S: Final = 2.0
RESTART_MOST_S: Final = 30.0
"""A restarting relay is not waited for any longer, whatever it says."""


@dataclass(frozen=True, slots=True)
class OpenRegion:
    """Dial a relay of this region."""

    region: int


@dataclass(frozen=True, slots=True)
class CloseRegion:
    """Close the connection to this region."""

    region: int
    is_silent: bool = False
    """Whether it was asked and gave no answer."""


@dataclass(frozen=True, slots=True)
class PingRegion:
    """Ask the relay whether it is there; whatever it sends is an answer."""

    region: int


@dataclass(frozen=True, slots=True)
class SetHome:
    """Tell a connected region whether it is home."""

    region: int
    is_home: bool


RelayCommand = OpenRegion | CloseRegion | PingRegion | SetHome


@dataclass(slots=True)
class _Region:
    is_dialling: bool = False
    is_open: bool = False
    wrote_at: float = 0.0
    heard_at: float | None = None
    asked_at: float | None = None
    failures: int = 0
    failed_at: float | None = None
    retry_at: float | None = None
    back_at: float | None = None
    """When a restarting relay asked to be dialled again."""


class RelayChoice:
    """Connections by region, and where each peer was last heard."""

    def __init__(self) -> None:
        self._regions: dict[int, _Region] = {}
        self._heard_in: dict[bytes, int] = {}
        self._home = 0
        self._commands: list[RelayCommand] = []

    @property
    def home(self) -> int:
        """Our home region, 0 for none."""
        return self._home

    def heard_at(self) -> dict[int, float]:
        """Return when each region's relay last sent anything; feeds the choice of home."""
        return {n: r.heard_at for n, r in self._regions.items() if r.heard_at is not None}

    def commands(self) -> list[RelayCommand]:
        """Return what to do now, in order."""
        commands, self._commands = self._commands, []
        return commands

    def set_home(self, region: int, now: float) -> None:
        """Move home; the old connection lives on until it is idle."""
        if region == self._home:
            return
        for number, is_home in ((self._home, False), (region, True)):
            held = self._regions.get(number)
            if held is not None and held.is_open:
                self._commands.append(SetHome(number, is_home))
        old = self._regions.get(self._home)
        if old is not None:
            old.wrote_at = now
        self._home = region
        if region:
            self._want(region, now)

    def region_for(self, peer: bytes, peer_home: int, now: float) -> int:
        """Return the region to write to for a peer, 0 if there is none; opens it if needed."""
        region = peer_home
        heard_in = self._heard_in.get(peer, 0)
        # Answer where the peer was heard rather than dial its home first.
        if heard_in and (not peer_home or not self._is_open(peer_home)):
            region = heard_in
        elif self._is_open(self._home) and self._is_failing(peer_home):
            # Keep at it: the peer may be the only one who still reaches its home.
            self._want(peer_home, now)
            region = self._home
        if region:
            held = self._want(region, now)
            held.wrote_at = now
            self._ask_if_silent(region, held, SILENT_S, now)
        return region

    def note_heard(self, region: int, now: float, peer: bytes | None = None) -> None:
        """Note a frame from a region's relay, and whose packet it brought."""
        held = self._region(region)
        held.heard_at, held.asked_at = now, None
        if peer is not None:
            self._heard_in[peer] = region

    def keep_peers(self, peers: Container[bytes]) -> None:
        """Forget where others than these were heard."""
        self._heard_in = {peer: at for peer, at in self._heard_in.items() if peer in peers}

    def note_gone(self, region: int, peer: bytes) -> None:
        """Note that a relay said a peer is not there."""
        if self._heard_in.get(peer) == region:
            del self._heard_in[peer]

    def note_open(self, region: int, now: float) -> None:
        """Note that the relay welcomed us."""
        held = self._region(region)
        held.is_dialling, held.is_open, held.failures, held.retry_at = False, True, 0, None
        held.heard_at, held.asked_at, held.failed_at = now, None, None
        if region == self._home:
            self._commands.append(SetHome(region, is_home=True))

    def note_restarting(self, region: int, now: float, back_in_s: float) -> None:
        """Note that a relay goes away and asks to be dialled again so much later.

        The time counts from now: relays that send clients away one after the other tell all of
        them at once.
        """
        self._region(region).back_at = now + min(back_in_s, RESTART_MOST_S)

    def note_lost(self, region: int, now: float) -> None:
        """Note that dialling failed or the connection ended, and when to try again."""
        held = self._region(region)
        if held.is_dialling:
            held.failed_at = now
        held.is_dialling = held.is_open = False
        held.asked_at = None
        self._forget_heard_in(region)
        held.failures += 1
        backoff_s = min(BACKOFF_MOST_S, BACKOFF_LEAST_S * 2 ** min(held.failures - 1, 8))
        back_at, held.back_at = held.back_at, None
        held.retry_at = now + backoff_s if back_at is None else max(now, back_at)

    def redial(self, now: float) -> None:
        """Dial at once whatever waits: our network changed, and old failures say nothing."""
        for held in self._regions.values():
            held.failures, held.failed_at = 0, None
            if held.retry_at is not None:
                held.retry_at = now

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        due = []
        for number, held in self._regions.items():
            if held.retry_at is not None:
                due.append(held.retry_at)
            elif held.is_open and held.asked_at is not None:
                due.append(held.asked_at + ANSWER_S)
            elif held.is_open and number != self._home:
                due.append(held.wrote_at + IDLE_S)
            elif held.is_open and held.heard_at is not None:
                due.append(held.heard_at + HOME_SILENT_S)
        return min(due, default=None)

    def on_deadline(self, now: float) -> None:
        """Dial again what is wanted, close what is idle or gave no answer."""
        for number, held in list(self._regions.items()):
            is_idle = number != self._home and now >= held.wrote_at + IDLE_S
            is_dead = held.asked_at is not None and now >= held.asked_at + ANSWER_S
            if held.is_open and (is_idle or is_dead):
                held.is_open = False
                # Whoever leaves that relay from now on, we would not hear of it.
                self._forget_heard_in(number)
                self._commands.append(CloseRegion(number, is_silent=is_dead))
                if is_dead:
                    held.failed_at = now
                    self.note_lost(number, now)
                    held.retry_at = now
            elif held.is_open and number == self._home:
                self._ask_if_silent(number, held, HOME_SILENT_S, now)
            elif held.retry_at is not None and now >= held.retry_at:
                held.retry_at = None
                if not is_idle:
                    self._dial(number, held)

    def failed_at(self) -> dict[int, float]:
        """Return since when which regions are known not to answer."""
        return {n: r.failed_at for n, r in self._regions.items() if r.failed_at is not None}

    def _forget_heard_in(self, region: int) -> None:
        self._heard_in = {peer: at for peer, at in self._heard_in.items() if at != region}

    def _is_failing(self, region: int) -> bool:
        held = self._regions.get(region)
        return held is not None and not held.is_open and held.failures > 0

    def _ask_if_silent(self, region: int, held: _Region, limit_s: float, now: float) -> None:
        is_silent = held.heard_at is not None and now >= held.heard_at + limit_s
        if held.is_open and held.asked_at is None and is_silent:
            held.asked_at = now
            self._commands.append(PingRegion(region))

    def _want(self, region: int, now: float) -> _Region:
        held = self._region(region)
        held.wrote_at = max(held.wrote_at, now)
        if not held.is_open and not held.is_dialling and held.retry_at is None:
            self._dial(region, held)
        return held

    def _dial(self, region: int, held: _Region) -> None:
        held.is_dialling = True
        self._commands.append(OpenRegion(region))

    def _region(self, region: int) -> _Region:
        return self._regions.setdefault(region, _Region())

    def _is_open(self, region: int) -> bool:
        held = self._regions.get(region)
        return held is not None and held.is_open
