"""Reads the recorded protocol vectors under `tests/golden`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def load(topic: str, name: str) -> Any:
    """Return the vectors of `tests/golden/<topic>/<name>.json`."""
    return json.loads((GOLDEN / topic / f"{name}.json").read_text(encoding="utf-8"))
