"""What acls and grants have in common: `autogroup:self`, zero-length prefixes, postures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.model.selectors import (
    Address,
    Autogroup,
    Cidr,
    HostAlias,
    IpSetName,
    Tag,
    Wildcard,
    parse_selector,
)

if TYPE_CHECKING:
    from policy.lower.fields import Fields
    from policy.lower.places import SelectorReader
    from policy.model.selectors import Selector
    from policy.model.term import Term

__all__ = [
    "check_self",
    "is_zero_prefix",
    "posture_names",
    "read_postures",
    "refuse_all_addresses",
]

_ALL_ADDRESSES = 'to allow all IP addresses, use "*" or "autogroup:internet"'
_SELF_ONLY = "autogroup:self can only be used with users, groups, or supported autogroups"


def refuse_all_addresses(term: Term, reader: SelectorReader) -> None:
    """Report a zero-length prefix as a destination."""
    reader.found.meaning("POL405", f'dst "{term.text}": {_ALL_ADDRESSES}', term.span)


def check_self(
    dst: list[Selector], sources: list[Term], reader: SelectorReader, *, wildcard_counts: bool
) -> None:
    """Report `autogroup:self` reached from anything that has no user.

    `wildcard_counts` says whether `*` is such a thing: in a grant it is, in an acl not.
    """
    if not any(s.is_self for s in dst):
        return
    for term in sources:
        selector = parse_selector(term.text)
        if _has_no_user(selector) or (wildcard_counts and isinstance(selector, Wildcard)):
            reader.found.meaning(
                "POL403",
                _SELF_ONLY,
                term.span,
                help="use `autogroup:member` as the source: every user reaches their own devices",
            )
            return


def _has_no_user(selector: Selector | None) -> bool:
    if isinstance(selector, Autogroup):
        return selector.name in {"tagged", "danger-all", "shared"}
    return isinstance(selector, Tag | HostAlias | Address | Cidr | IpSetName)


def posture_names(fields: Fields, reader: SelectorReader) -> tuple[str, ...]:
    """Read `srcPosture`; unknown names are reported."""
    return read_postures(fields.strings("srcPosture"), reader)


def read_postures(terms: list[Term], reader: SelectorReader) -> tuple[str, ...]:
    """Return the names of defined postures; report the others."""
    for term in terms:
        if term.text not in reader.names.postures:
            reader.found.meaning(
                "POL305",
                f'posture not found: "{term.text}"',
                term.span,
                help="define it in `postures`",
            )
    return tuple(term.text for term in terms if term.text in reader.names.postures)


def is_zero_prefix(term: Term) -> bool:
    """Tell whether a destination is all addresses of an IP version."""
    selector = parse_selector(term.text)
    return isinstance(selector, Cidr) and not selector.network.prefixlen
