"""How answers are printed: tables for people, JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Output", "print_error"]


class Output:
    """One way of printing: `table`, `json`, `json-line` or `yaml`."""

    def __init__(self, form: str) -> None:
        self.form = form

    @property
    def is_for_people(self) -> bool:
        """Whether tables and sentences are wanted."""
        return self.form == "table"

    def show(self, value: Any, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a list: the rows for people, `value` as it is for programs."""
        if self.is_for_people:
            print(_table(headings, rows))
        else:
            self.print_value(value)

    def say(self, value: Any, sentence: str) -> None:
        """Print a sentence for people, `value` for programs."""
        if self.is_for_people:
            print(sentence)
        else:
            self.print_value(value)

    def print_value(self, value: Any) -> None:
        """Print a value for programs."""
        if self.form == "yaml":
            print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
        else:
            indent = 2 if self.form == "json" else None
            print(json.dumps(value, indent=indent, ensure_ascii=False))


def print_error(output: Output, text: str, problems: Sequence[str]) -> None:
    """Print an error on standard error, as JSON where programs read the output."""
    if output.is_for_people:
        print(
            f"error: {text}" if not problems else "\n".join(("error:", *problems)), file=sys.stderr
        )
    else:
        print(json.dumps({"error": text, "problems": list(problems)}), file=sys.stderr)


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [list(headings), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
        case _:
            return str(value)
