"""`ipsets`: ordered steps that add and remove addresses (policy reference 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.model.definitions import IpSetDefinition, IpSetEntry
from policy.model.selectors import (
    Address,
    Autogroup,
    Cidr,
    HostAlias,
    IpSetName,
    parse_selector,
)

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Collector
    from policy.lower.fields import Fields
    from policy.lower.names import Names
    from policy.model.selectors import Selector
    from policy.model.term import Term
    from policy.source import Span

__all__ = ["ipset_terms", "lower_ipsets"]

_KEYWORDS = ("add", "remove")


def ipset_terms(document: Fields, found: Collector) -> dict[str, tuple[Span, list[Term]]]:
    """Read the names of `ipsets` and their entries as written."""
    sets = {}
    for name, value in document.entries("ipsets"):
        if name.value.startswith("ipset:") and name.value != "ipset:":
            terms = document.string_list(value, f'ipsets["{name.value}"]')
            sets[name.value] = (name.span, terms)
        else:
            found.meaning(
                "POL229",
                f"ipsets[\"{name.value}\"]: ip set names must start with 'ipset:'",
                name.span,
            )
    return sets


def lower_ipsets(
    sets: dict[str, tuple[Span, list[Term]]], names: Names, found: Collector
) -> dict[str, IpSetDefinition]:
    """Turn entries into steps, once hosts are known; cycles are reported."""
    defined = {}
    for name, (span, terms) in sets.items():
        keyed = any(_split(term.text)[0] for term in terms)
        entries = (_entry(name, term, names, found, keyed=keyed) for term in terms)
        defined[name] = IpSetDefinition(name, tuple(e for e in entries if e is not None), span)
    _report_cycles(defined, found)
    return defined


def _split(text: str) -> tuple[str, str]:
    """Split `add T` or `remove T`; the keyword is empty for a bare T."""
    keyword, blank, target = text.partition(" ")
    if blank and keyword in _KEYWORDS:
        return keyword, target.strip(" \t")
    return "", text


def _entry(
    name: str, term: Term, names: Names, found: Collector, *, keyed: bool
) -> IpSetEntry | None:
    keyword, target = _split(term.text)
    if keyed and not keyword:
        found.meaning(
            "POL230",
            f'ipsets["{name}"]: "{term.text}": expected add or remove',
            term.span,
            help=f"where one entry says `add` or `remove`, all must: write `add {target}`",
        )
        return None
    selector = parse_selector(target)
    if selector is None or not _may_be_member(selector):
        found.meaning(
            "POL230",
            f'ipsets["{name}"]: "{target}": not an address',
            term.span,
            help="an ip set holds addresses, CIDRs, hosts, ip sets and `autogroup:internet`",
        )
        return None
    missing = names.undefined(selector)
    if missing is not None:
        code, words, help_text = missing
        found.meaning(code, f'ipsets["{name}"]: {words}', term.span, help=help_text)
        return None
    return IpSetEntry(keyword != "remove", selector)


def _may_be_member(selector: Selector) -> bool:
    if isinstance(selector, Autogroup):
        return selector.name == "internet"
    return isinstance(selector, Address | Cidr | HostAlias | IpSetName)


def _report_cycles(sets: dict[str, IpSetDefinition], found: Collector) -> None:
    """Report each cycle once, at the first set of it. Iterative: chains may be long."""
    done: set[str] = set()
    for start in sets:
        path: dict[str, None] = {}
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                path.pop(name, None)
                done.add(name)
            elif name in path:
                _report_cycle(list(path), name, sets, found)
            elif name not in done:
                path[name] = None
                stack.append((name, True))
                stack.extend(
                    (entry.target.text, False)
                    for entry in sets[name].entries
                    if isinstance(entry.target, IpSetName) and entry.target.text in sets
                )


def _report_cycle(
    path: list[str], again: str, sets: dict[str, IpSetDefinition], found: Collector
) -> None:
    cycle = [*path[path.index(again) :], again]
    found.meaning(
        "POL307",
        f'ipsets["{again}"]: ip sets cannot contain one another: {" > ".join(cycle)}',
        sets[again].span,
        help="write the addresses out in one of them",
    )
