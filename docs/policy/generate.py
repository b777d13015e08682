#!/usr/bin/env python3
"""Writes the tables of README.md that follow from the code; `--check` only says whether it would.

Run from anywhere: `python docs/policy/generate.py`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from policy.diagnostics.registry import RULES
from policy.lower.places import (
    APPROVER,
    DESTINATION,
    SOURCE,
    SSH_DESTINATION,
    SSH_SOURCE,
    TAG_OWNER,
    TARGET,
    Place,
)
from policy.model.ports import PROTOCOLS
from policy.model.selectors import (
    AUTOGROUPS,
    ROLE_AUTOGROUPS,
    Address,
    Cidr,
    DomainUsers,
    Group,
    HostAlias,
    IpSetName,
    Selector,
    Service,
    Tag,
    User,
    Wildcard,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

README = Path(__file__).with_name("README.md")
PAGES = "../../policy/diagnostics/pages"

PLACES = {
    "source": SOURCE,
    "destination": DESTINATION,
    "ssh source": SSH_SOURCE,
    "ssh destination": SSH_DESTINATION,
    "tag owner": TAG_OWNER,
    "approver": APPROVER,
    "attribute target": TARGET,
}
KINDS: dict[str, type[Selector]] = {
    "`*`": Wildcard,
    "user": User,
    "`group:`": Group,
    "`tag:`": Tag,
    "host": HostAlias,
    "address": Address,
    "CIDR": Cidr,
    "`ipset:`": IpSetName,
    "`user:*@`": DomainUsers,
    "`svc:`": Service,
}


def places() -> str:
    """Return which selector may stand where."""
    rows = [
        (name, *(_mark(kind in place.kinds) for place in PLACES.values()))
        for name, kind in KINDS.items()
    ]
    single = sorted(AUTOGROUPS - ROLE_AUTOGROUPS - {"nonroot"})
    rows += [
        (f"`autogroup:{name}`", *(_mark(name in place.autogroups) for place in PLACES.values()))
        for name in single
    ]
    rows.append(("role autogroups", *(_mark(_takes_roles(place)) for place in PLACES.values())))
    return _table(("", *PLACES), rows)


def _takes_roles(place: Place) -> bool:
    taken = place.autogroups & ROLE_AUTOGROUPS
    if taken and taken != ROLE_AUTOGROUPS:
        raise SystemExit(f"{place.words}: some role autogroups and not others")
    return bool(taken)


def protocols() -> str:
    """Return the names of protocols by number."""
    by_number: dict[int, list[str]] = {}
    for name, number in PROTOCOLS.items():
        by_number.setdefault(number, []).append(f"`{name}`")
    return _table(
        ("Number", "Names"),
        [(str(number), ", ".join(names)) for number, names in sorted(by_number.items())],
    )


def diagnostics() -> str:
    """Return every code with its page."""
    return _table(
        ("Code", "Name", "Severity", "Summary"),
        [
            (f"[{rule.code}]({PAGES}/{rule.code}.md)", rule.name, rule.severity, rule.summary)
            for rule in RULES.values()
        ],
    )


PARTS: dict[str, Callable[[], str]] = {
    "places": places,
    "protocols": protocols,
    "diagnostics": diagnostics,
}


def generated(text: str) -> str:
    """Return the page with its tables written anew."""
    for name, part in PARTS.items():
        head, tail = f"<!-- {name}: written by generate.py -->", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(head)}.*?{re.escape(tail)}", re.DOTALL)
        fresh = f"{head}\n\n{part()}\n\n{tail}"
        text, count = pattern.subn(fresh.replace("\\", r"\\"), text)
        if count != 1:
            raise SystemExit(f"{README.name}: expected one part {name!r}, found {count}")
    return text


def _mark(allowed: bool) -> str:  # noqa: FBT001  it is the cell's content
    return "yes" if allowed else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [_row(head := list(head)), _row("---" for _ in head), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare; return 1 where it was or would be changed."""
    text = README.read_text(encoding="utf-8")
    fresh = generated(text)
    if fresh == text:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{README}: not up to date; run {Path(__file__).name}\n")
        return 1
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
