"""JSON Schemas (draft 2020-12) of policies, suites and inventories, for editors.

A schema knows fields, types and what they mean. It cannot say that field names match whatever
their case, that `null` is the same as absent for names that are data, or that names refer to one
another; `policy check` is what decides.
"""

from __future__ import annotations

from typing import Any

__all__ = ["KINDS", "schema_of"]

KINDS = ("policy", "suite", "inventory")


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of one of `KINDS`."""
    # ruff: noqa: PLC0415  one of them is asked for
    match kind:
        case "policy":
            from policy.schema.document import policy_schema

            return policy_schema()
        case "suite":
            from policy.schema.suite import suite_schema

            return suite_schema()
        case "inventory":
            from policy.schema.inventory import inventory_schema

            return inventory_schema()
        case _:
            raise ValueError(f"no such schema: {kind}")
