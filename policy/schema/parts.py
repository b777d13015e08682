"""What the schemas are made of."""

from __future__ import annotations

from typing import Any

__all__ = [
    "Schema",
    "array_of",
    "boolean",
    "document",
    "object_of",
    "one_of",
    "record",
    "ref",
    "string",
    "strings",
]

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document(title: str, description: str, root: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return a whole schema; the description tells what no schema can say."""
    return {
        "$schema": _DIALECT,
        **root,
        "title": title,
        "description": description,
        "$defs": definitions,
    }


def record(title: str, description: str, fields: dict[str, Schema], **more: Any) -> Schema:
    """Return an object with these fields and no others."""
    return {
        "title": title,
        "description": description,
        "type": "object",
        "properties": fields,
        "additionalProperties": False,
        **more,
    }


def object_of(title: str, description: str, names: str | None, value: Schema) -> Schema:
    """Return an object whose names are data; `names` is the pattern that they follow."""
    shape: Schema = (
        {"additionalProperties": value}
        if names is None
        else {"patternProperties": {names: value}, "additionalProperties": False}
    )
    return {"title": title, "description": description, "type": ["object", "null"], **shape}


def array_of(title: str, description: str, items: Schema) -> Schema:
    """Return an array; null is the same as none."""
    return {
        "title": title,
        "description": description,
        "type": ["array", "null"],
        "items": items,
    }


def strings(title: str, description: str, *examples: str) -> Schema:
    """Return an array of strings, with examples for completion."""
    items: Schema = {"type": "string"}
    if examples:
        items["examples"] = list(examples)
    return array_of(title, description, items)


def string(title: str, description: str, *examples: str) -> Schema:
    """Return a string; null is the same as absent."""
    shown: Schema = {"title": title, "description": description, "type": ["string", "null"]}
    if examples:
        shown["examples"] = list(examples)
    return shown


def one_of(title: str, description: str, *values: str) -> Schema:
    """Return a string with one of some values, blanks around it allowed."""
    blanks = f"^[ \\t]*({'|'.join(values)})[ \\t]*$"
    return {
        "title": title,
        "description": description,
        "type": "string",
        # The values by themselves are what editors offer.
        "anyOf": [{"enum": list(values)}, {"pattern": blanks}],
    }


def boolean(title: str, description: str) -> Schema:
    """Return true or false; null is the same as absent."""
    return {"title": title, "description": description, "type": ["boolean", "null"]}


def ref(name: str) -> Schema:
    """Refer to a definition."""
    return {"$ref": f"#/$defs/{name}"}
