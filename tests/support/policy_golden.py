"""Golden cases of the policy language: how they are read and, on demand only, rewritten.

Expectations are rewritten by `POSTERN_REWRITE_GOLDEN=1 pytest tests/golden/test_policy_...`, never
where `CI` is set; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.inventory import read_inventory

if TYPE_CHECKING:
    from engine.directory import Directory

CASES = Path(__file__).resolve().parents[1] / "golden" / "policy"
REWRITE = os.environ.get("POSTERN_REWRITE_GOLDEN") == "1" and not os.environ.get("CI")


def cases(topic: str) -> dict[str, Path]:
    """Return the case files of `tests/golden/policy/<topic>` by name."""
    return {path.stem: path for path in sorted((CASES / topic).glob("*.hujson"))}


def inventory(name: str) -> Directory:
    """Return one of the tailnets that cases share."""
    return read_inventory((CASES / "inventories" / f"{name}.json").read_bytes())
