#!/usr/bin/env python3
"""Writes README.md from the configuration's model; `--check` only says whether it would.

Run from anywhere: `python docs/configuration/generate.py`.
"""

from __future__ import annotations

import inspect
import sys
import typing
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from control.config import ControlConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

PAGE = Path(__file__).with_name("README.md")
HEAD = """\
# Configuration of the control server

One YAML or TOML file, given with `postern control serve --config FILE`. Every key has a default;
unknown keys are errors. The environment overrides the file: a key's variable is
`POSTERN_CONTROL_` and its path in capitals, parts joined by two underscores, as in
`POSTERN_CONTROL_NODE__EXPIRY=180d`. Lists and tables are written there as JSON.

`postern control configtest --config FILE` reads the file and the environment and names every key
that is wrong. Durations are written `30s`, `15m`, `24h`, `90d`. Relative paths start where the
server is started.

This page is written from the code by `docs/configuration/generate.py`.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_section("", ControlConfig)])


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    rows, inner = [], []
    for name, field in model.model_fields.items():
        key = field.alias or name
        full = f"{path}.{key}" if path else key
        below = _model_in(field.annotation)
        if below is None:
            rows.append(f"| `{key}` | {_default(field)} | {_words(field.description)} |")
        else:
            inner.append((full, below, _is_many(field.annotation)))
    if path:
        yield f"## `{path}`\n"
        yield _words(inspect.getdoc(model)) + "\n"
    if rows:
        yield "| Key | Default | Meaning |\n|---|---|---|"
        yield from rows
        yield ""
    for full, below, is_many in inner:
        yield from _section(f"{full}[]" if is_many else full, below)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a key holds, alone, optional, or many of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _is_many(annotation: Any) -> bool:
    return typing.get_origin(annotation) in {tuple, list}


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "needed"
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    return f"`{value}`"


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s" if seconds else "0"


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", r"\|")


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare; return 1 where it was or would be changed."""
    fresh = page()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == fresh:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{PAGE}: not up to date; run {Path(__file__).name}\n")
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
