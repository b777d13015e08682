"""The clockwork of path choice, in seconds (relay reference 3.5); where we differ it says why."""

from __future__ import annotations

from typing import Final

SESSION_ACTIVE_S: Final = 45.0
"""Without user traffic for so long, heartbeats stop."""

HEARTBEAT_S: Final = 3.0
TRUST_S: Final = 6.5
"""After a pong the address is used alone for so long."""

PING_TIMEOUT_S: Final = 5.0
PING_INTERVAL_S: Final = 5.0
"""Least time between discovery pings to one address."""

UPGRADE_S: Final = 60.0
GOOD_ENOUGH_NS: Final = 5_000_000
"""At or below this latency nothing better is looked for."""

ENDPOINTS_FRESH_S: Final = 27.0
MAX_CANDIDATES: Final = 100

SILENCE_S: Final = 1.0
"""Sending for so long without hearing anything makes us ask. The field's client waits for its
heartbeat instead; asking earlier costs one ping a second while traffic flows one way only."""

PROBE_LEAST_S: Final = 0.5
PROBE_LATENCIES: Final = 4
"""A path that leaves a question unanswered for the larger of half a second and four latencies is
doubted: packets then go by the relay as well, seconds before trust formally ends."""

CALLED_REPEATS_S: Final = (0.25, 1.0)
"""After a call-me-maybe the same addresses are pinged again so much later, unless a path is
proven: the first pings of both sides often cross on their way to NATs still closed."""

PING_BACK_S: Final = 1.0
"""A ping shows that its way in is open now, so while the path is not proven it is answered with a
ping of our own, once a second for each address. Two port-restricted NATs open in one round that
way: whichever side's first ping was too early gets its second chance at once."""

CALL_ME_MAYBE_LEAST_S: Final = 0.2
"""Lists that come faster are ignored: each makes us ping everything on it."""

CALL_ME_MAYBE_RETRY_S: Final = 5.0
