"""The text and binary forms of every kind of key, against published values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control.keys import (
    ChallengePublic,
    DiscoPublic,
    KeyTextError,
    LockPrivate,
    LockPublic,
    MachinePrivate,
    MachinePublic,
    NodePrivate,
    NodePublic,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "noise" / "ts2021.json").read_text()
)
KEYS, FORMS = VECTORS["keys"], VECTORS["text_encodings"]


def raw(name: str, half: str = "public") -> bytes:
    return bytes.fromhex(KEYS[name][half])


MACHINE, NODE = MachinePublic(raw("machine")), NodePublic(raw("node"))
DISCO = DiscoPublic(raw("disco"))
LOCK = LockPrivate.from_secret_text(FORMS["nl_private_ascii"])

WRITTEN = {
    "machine_private_ascii": MachinePrivate(raw("machine", "private_clamped")).to_secret_text(),
    "machine_public_ascii": MACHINE.to_text(),
    "machine_public_short_ascii": MACHINE.short(),
    "node_private_ascii": NodePrivate(raw("node", "private_clamped")).to_secret_text(),
    "node_public_ascii": NODE.to_text(),
    "node_public_short_ascii": NODE.short(),
    "node_public_binary": NODE.to_binary().hex(),
    "disco_public_ascii": DISCO.to_text(),
    "disco_public_short_ascii": DISCO.short(),
    "challenge_public_ascii": ChallengePublic(raw("challenge")).to_text(),
    "server_public_ascii": MachinePublic(raw("server_static")).to_text(),
    "zero_node_public_ascii": NodePublic.zero().to_text(),
    "zero_node_public_short_ascii": NodePublic.zero().short(),
    "nl_private_ascii": LOCK.to_secret_text(),
    "nl_public_ascii": LOCK.public.to_text(),
    "nl_public_cli_ascii": LOCK.public.to_cli_text(),
    "expired_node_key_after_bad_prefix_ascii": NODE.expired().to_text(),
}


def test_every_published_form_is_looked_at() -> None:
    assert WRITTEN.keys() == FORMS.keys() - {"reject_ascii"}


@pytest.mark.parametrize("form", WRITTEN)
def test_form_is_as_published(form: str) -> None:
    assert WRITTEN[form] == FORMS[form]


@pytest.mark.parametrize("text", FORMS["reject_ascii"])
def test_what_is_no_node_key_is_refused(text: str) -> None:
    with pytest.raises(KeyTextError):
        NodePublic.from_text(text)


def test_texts_lead_back_to_the_keys() -> None:
    assert MachinePublic.from_text(FORMS["machine_public_ascii"]) == MACHINE
    assert NodePublic.from_text(FORMS["node_public_ascii"]) == NODE
    assert DiscoPublic.from_text(FORMS["disco_public_ascii"]) == DISCO
    assert LockPublic.from_text(FORMS["nl_public_cli_ascii"]) == LOCK.public
    private = MachinePrivate.from_secret_text(FORMS["machine_private_ascii"])
    assert private.public == MACHINE
