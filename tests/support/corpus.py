"""Recordings of what the real service answered: where they are and what in them is impossible.

The recordings are data of their own and not part of this tree: `$POSTERN_CORPUS` names their
folder. Addresses and words in them were replaced after the capture, and some captures ran into
an update still on its way, so that a few answers cannot be had from the inputs beside them. Each
such cause is recognised here by what shows it, never by the name of a recording.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).parents[3] / "shared" / "corpus"
TAILNET_V6 = re.compile(r"fd7a:[0-9a-f:]*")


def corpus_folder() -> Path | None:
    """Return the folder of the recordings, or None where this machine has none."""
    folder = Path(os.environ.get("POSTERN_CORPUS", DEFAULT))
    return folder if folder.is_dir() else None


def recordings() -> list[dict[str, Any]]:
    """Return every recording; none where there is no folder."""
    folder = corpus_folder()
    if folder is None:
        return []
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def inventory_of(recording: dict[str, Any]) -> str:
    """Return a recording's inventory with its settings, as text.

    The roles need mending: every user was an administrator of the recorded tailnet, as the
    service's `is-admin` on all their devices shows, and `autogroup:admin` selecting them; the
    inventory calls all but the owner members.
    """
    inventory = dict(recording["inventory"])
    inventory["users"] = [
        user if user["role"] == "owner" else {**user, "role": "admin"}
        for user in inventory["users"]
    ]
    inventory["tailnetSettings"] = recording["tailnetSettings"]
    # Some recordings have no user left in their inventory; the tailnet had its name all the same.
    inventory["tailnet"] = "odin@example.com"
    return json.dumps(inventory)


def names_renumbered_address(recording: dict[str, Any]) -> bool:
    """Whether the policy spells out an IPv6 address that devices no longer have."""
    return TAILNET_V6.search(recording["policy"]) is not None


def shows_late_approval(recording: dict[str, Any]) -> bool:
    """Whether a capture shows a route that the inventory says is not approved."""
    pending = {
        route
        for device in recording["inventory"]["devices"]
        for route in set(device["advertisedRoutes"] or ()) - set(device["enabledRoutes"] or ())
    }
    return any(
        route in pending
        for seen in recording["expect"].values()
        for shown in [seen["selfAllowedIPs"], *(p["allowedIPs"] for p in seen["peers"].values())]
        for route in shown
    )


def without_auto_update(capabilities: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only captures from some day on have, whatever the settings."""
    return {name: value for name, value in capabilities.items() if name != "default-auto-update"}


def with_sorted_principals(policy: dict[str, Any]) -> dict[str, Any]:
    """Order principals anew: their order followed addresses that were replaced since."""
    return {
        "rules": [
            {**rule, "principals": sorted(rule["principals"], key=lambda p: str(p["nodeIP"]))}
            for rule in policy["rules"]
        ]
    }
