"""What the packet loop's thread says arrives in the event loop, whole and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from node.agent.bridge import Bridge

if TYPE_CHECKING:
    from node.agent.mesh_transport import RelaySend
    from node.paths.news import BookEvent

KEY = b"k" * 32


def burst(number: int) -> RelaySend:
    return KEY, 0, number.to_bytes(4, "big"), 4


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[list[RelaySend]] = []

    def on_relay(self, bursts: list[RelaySend]) -> None:
        self.told.append(bursts)

    def on_stun(self, datagram: bytes, now: float) -> None:
        raise AssertionError(datagram, now)

    def on_path_news(self, event: BookEvent) -> None:
        raise AssertionError(event)


async def test_what_comes_while_the_loop_is_busy_is_handed_over_at_once() -> None:
    owner = Owner()
    bridge = Bridge(asyncio.get_running_loop(), owner)
    bridge.relay([burst(1), burst(2)])
    bridge.relay([burst(3)])
    await asyncio.sleep(0)
    assert owner.told == [[burst(1), burst(2), burst(3)]]
    bridge.relay([burst(4)])
    await asyncio.sleep(0)
    assert owner.told[1:] == [[burst(4)]]


async def test_nothing_is_lost_between_threads() -> None:
    owner, count = Owner(), 5000
    bridge = Bridge(asyncio.get_running_loop(), owner)

    def talk() -> None:
        for number in range(count):
            bridge.relay([burst(number)])

    await asyncio.to_thread(talk)
    await asyncio.sleep(0)
    assert [item for told in owner.told for item in told] == [burst(n) for n in range(count)]
