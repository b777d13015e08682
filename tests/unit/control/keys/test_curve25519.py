"""Kinds of keys: published text forms, refusals, and what stays out of sight."""

from __future__ import annotations

import logging

import pytest

from control.keys import (
    ChallengePrivate,
    Curve25519Private,
    Curve25519Public,
    DiscoPrivate,
    DiscoPublic,
    KeyTextError,
    LowOrderPointError,
    MachinePrivate,
    MachinePublic,
    NodePrivate,
    NodePublic,
)

MACHINE_HEX = "18081062a92bacb6aa37f3734c83276f503838ab25b2bb42eb5184d72450736b"
MACHINE_PUBLIC_HEX = "f5fe32e4aef0d269eb973f8adebd1340829cd9be1ab2f2dcc221f0ee82502d55"
NODE_HEX = "c0f1e20c291637afb75665dbd191f4db6c35f04b6dfb4a7576b5e458ae4b075f"
NODE_PUBLIC_HEX = "f5da348ac1dc6d0f00e34f94fd979212bd20d848deedf32069755c99cbae813e"
DISCO_HEX = "e8ed4ce371e7dee346c7273b832742d11d991b285ff0175925b87d3ac475c072"
DISCO_PUBLIC_HEX = "7d87784dcf291211af0641ea239e34b1ab6c67489a7baee0ed2c0f051c808d53"
CHALLENGE_HEX = "28bace8a8f275d235020c6ca7ca556604dac3c5a1bc7e78097c45150541c0665"
CHALLENGE_PUBLIC_HEX = "ecc1b5136d7b8f71fd79b9061ee025ab85cfcd5986bb54531f599839475e754b"


@pytest.mark.parametrize(
    ("kind", "private", "public"),
    [
        (MachinePrivate, MACHINE_HEX, "mkey:" + MACHINE_PUBLIC_HEX),
        (NodePrivate, NODE_HEX, "nodekey:" + NODE_PUBLIC_HEX),
        (DiscoPrivate, DISCO_HEX, "discokey:" + DISCO_PUBLIC_HEX),
        (ChallengePrivate, CHALLENGE_HEX, "chalpub:" + CHALLENGE_PUBLIC_HEX),
    ],
)
def test_public_text_follows_from_the_private_key(
    kind: type[Curve25519Private[Curve25519Public]], private: str, public: str
) -> None:
    assert kind.from_secret_text("privkey:" + private).public.to_text() == public


def test_private_text_round_trips() -> None:
    text = "privkey:" + MACHINE_HEX
    assert MachinePrivate.from_secret_text(text).to_secret_text() == text


def test_private_key_is_stored_clamped() -> None:
    key = NodePrivate(b"\xff" * 32)
    raw = bytes.fromhex(key.to_secret_text().removeprefix("privkey:"))
    assert (raw[0] & 7, raw[31] & 192) == (0, 64)


@pytest.mark.parametrize(
    "text",
    [
        "nodekey:" + NODE_PUBLIC_HEX[:-1],
        "nodekey:" + NODE_PUBLIC_HEX + "0",
        "mkey:" + NODE_PUBLIC_HEX,
        "NODEKEY:" + NODE_PUBLIC_HEX,
        "nodekey:g" + NODE_PUBLIC_HEX[1:],
        NODE_PUBLIC_HEX,
        "",
        "nodekey:" + NODE_PUBLIC_HEX + " ",
        " nodekey:" + NODE_PUBLIC_HEX,
        "nodekey:" + NODE_PUBLIC_HEX[:-2] + " 3",
        "nodekey:" + NODE_PUBLIC_HEX[:-2] + "\u0663e",
    ],
)
def test_text_that_is_not_exactly_a_node_key_is_refused(text: str) -> None:
    with pytest.raises(KeyTextError):
        NodePublic.from_text(text)


def test_upper_case_digits_are_read() -> None:
    upper = NodePublic.from_text("nodekey:" + NODE_PUBLIC_HEX.upper())
    assert upper == NodePublic.from_text("nodekey:" + NODE_PUBLIC_HEX)


def test_error_does_not_quote_the_text() -> None:
    with pytest.raises(KeyTextError) as caught:
        NodePublic.from_text("privkey:" + NODE_HEX)
    assert NODE_HEX[:8] not in str(caught.value)


def test_short_forms() -> None:
    assert MachinePublic(bytes.fromhex(MACHINE_PUBLIC_HEX)).short() == "[9f4y5]"
    assert NodePublic(bytes.fromhex(NODE_PUBLIC_HEX)).short() == "[9do0i]"
    assert DiscoPublic(bytes.fromhex(DISCO_PUBLIC_HEX)).short() == "d:7d87784dcf291211"
    assert NodePublic.zero().short() == DiscoPublic.zero().short() == ""


def test_zero_key_is_legal_text() -> None:
    zero = NodePublic.from_text("nodekey:" + "0" * 64)
    assert zero.is_zero
    assert zero == NodePublic.zero()


def test_kinds_never_compare_equal() -> None:
    raw = bytes.fromhex(NODE_PUBLIC_HEX)
    assert NodePublic(raw) != MachinePublic(raw)
    assert NodePrivate(raw) != MachinePrivate(raw)
    assert len({NodePublic(raw), MachinePublic(raw), DiscoPublic(raw)}) == 3


def test_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        NodePublic(bytes(31))
    with pytest.raises(ValueError, match="32 bytes"):
        NodePrivate(bytes(33))


def test_private_key_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    key = MachinePrivate.from_secret_text("privkey:" + MACHINE_HEX)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", key, key, [key])
    assert MACHINE_HEX[2:10] not in caplog.text
    assert "redacted" in caplog.text


def test_exchange_agrees_on_both_sides() -> None:
    ann, bo = MachinePrivate(bytes(range(32))), MachinePrivate(bytes(range(1, 33)))
    assert ann.exchange(bo.public) == bo.exchange(ann.public)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_low_order_points_are_refused(point: bytes) -> None:
    with pytest.raises(LowOrderPointError):
        MachinePrivate(bytes(range(32))).exchange(MachinePublic(point))


def test_generate_uses_the_given_entropy() -> None:
    asked: list[int] = []

    def entropy(length: int) -> bytes:
        asked.append(length)
        return bytes.fromhex(MACHINE_HEX)

    assert MachinePrivate.generate(entropy).to_secret_text() == "privkey:" + MACHINE_HEX
    assert asked == [32]
