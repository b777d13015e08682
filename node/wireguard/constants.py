"""Numbers fixed by the WireGuard protocol, and below them the numbers that we chose.

Source: the WireGuard paper, sections 5 and 6; relay reference 9.1 to 9.5.
"""

from __future__ import annotations

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1 = b"mac1----"
LABEL_COOKIE = b"cookie--"

REKEY_AFTER_MESSAGES = 1 << 60
REJECT_AFTER_MESSAGES = (1 << 64) - (1 << 13) - 1
REKEY_AFTER_TIME_S = 120.0
REJECT_AFTER_TIME_S = 180.0
REKEY_ATTEMPT_TIME_S = 90.0
REKEY_TIMEOUT_S = 5.0
REKEY_JITTER_S = 0.333
KEEPALIVE_TIMEOUT_S = 10.0
COOKIE_LIFETIME_S = 120.0

REKEY_ON_RECEIVE_S = REJECT_AFTER_TIME_S - KEEPALIVE_TIMEOUT_S - REKEY_TIMEOUT_S
"""Age of its own session at which the initiator renews it when data arrives."""
NEW_HANDSHAKE_S = KEEPALIVE_TIMEOUT_S + REKEY_TIMEOUT_S
"""Data sent and nothing heard for this long starts a handshake."""
ZERO_KEYS_S = 3 * REJECT_AFTER_TIME_S
MAX_HANDSHAKE_ATTEMPTS = int(REKEY_ATTEMPT_TIME_S / REKEY_TIMEOUT_S)

PADDING = 16
"""Plaintexts are padded to a multiple of this, but not past the tunnel's MTU."""

# Chosen here.

REPLAY_WINDOW = 8128
"""Counters that may arrive late, as in wireguard-go (127 words of 64 bits)."""
STAGED_PACKETS = 128
"""Packets kept for a peer without a session; the oldest gives way."""
HANDSHAKE_QUEUE = 1024
UNDER_LOAD_QUEUE = HANDSHAKE_QUEUE // 8
UNDER_LOAD_STICKY_S = 1.0
INITIATION_INTERVAL_S = 0.02
"""At most one initiation is answered per peer in this time."""
SOURCE_RATE_PER_S = 20.0
SOURCE_BURST = 5.0
SOURCE_TABLE = 4096
"""Sources whose handshake rate is remembered at once."""
