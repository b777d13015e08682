"""Which selectors may stand where, and what the service says of those that may not.

The table is policy reference 2.3; the words are its 2.5 where a refusal was recorded, and of the
same family where none was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.diagnostics.diagnostic import Fix, Related
from policy.model.selectors import (
    AUTOGROUPS,
    ROLE_AUTOGROUPS,
    Address,
    Autogroup,
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
    parse_selector,
)
from policy.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policy.diagnostics.diagnostic import Collector
    from policy.lower.names import Names
    from policy.model.term import Term

__all__ = [
    "ACL_DESTINATION",
    "APPROVER",
    "DESTINATION",
    "SOURCE",
    "SSH_DESTINATION",
    "SSH_SOURCE",
    "TAG_OWNER",
    "TARGET",
    "Place",
    "SelectorReader",
]

_NETWORK = frozenset({Wildcard, User, Group, Tag, HostAlias, Address, Cidr, IpSetName, DomainUsers})


FOREIGN = (
    "{domain} is not associated with this Tailnet and cannot be used in user:*@<domain> expressions"
)
"""The trailing `<domain>` is literal in the service's own message."""


class Place(NamedTuple):
    """A place for selectors."""

    words: str
    """How help texts call it."""
    kinds: frozenset[type[Selector]]
    autogroups: frozenset[str]
    undefined: str = "{words}"
    """The service's frame around `tag not found: "tag:x"` and the like."""
    refused: str = 'invalid selector "{selector}"'
    """What is said of a selector that this place does not take."""
    foreign: str = FOREIGN
    peculiar: Mapping[str, tuple[str, str, str]] = {}
    """Autogroups of which the service says something of its own: code, message, help."""


SOURCE = Place(
    "the source of a rule",
    _NETWORK,
    ROLE_AUTOGROUPS | {"member", "tagged", "danger-all", "shared"},
    undefined="src={words}",
    refused='"{selector}" not valid on the src side of a rule',
    peculiar={
        "self": (
            "POL402",
            '"autogroup:self" not valid on the src side of a rule',
            "use `autogroup:member` as the source and `autogroup:self` as the destination",
        )
    },
)
DESTINATION = Place(
    "the destination of a rule",
    _NETWORK | {Service},
    ROLE_AUTOGROUPS | {"member", "tagged", "self", "internet"},
    refused='"{selector}" not valid on the dst side of a rule',
    peculiar={
        "danger-all": (
            "POL404",
            "cannot use autogroup:danger-all as a dst",
            "use `*` for every device, or `autogroup:internet` through exit nodes",
        )
    },
)
ACL_DESTINATION = DESTINATION._replace(undefined='dst="{selector}": {words}')
SSH_SOURCE = Place(
    "the source of an ssh rule",
    frozenset({User, Group, Tag, DomainUsers}),
    ROLE_AUTOGROUPS | {"member", "tagged"},
    undefined="src={words}",
    refused='invalid src "{selector}"',
    foreign=f"[ssh] {FOREIGN}",
)
SSH_DESTINATION = Place(
    "the destination of an ssh rule",
    frozenset({User, Tag}),
    frozenset({"member", "tagged", "self"}),
    undefined='dst="{selector}": {words}',
    refused='invalid dst "{selector}"',
)
TARGET = Place(
    "the target of node attributes",
    _NETWORK,
    ROLE_AUTOGROUPS | {"member", "tagged", "shared"},
    refused='"{selector}": invalid address',
    peculiar={
        "self": (
            "POL410",
            "internal server error",
            "the service fails on `autogroup:self` here; use `autogroup:member`",
        )
    },
)
TAG_OWNER = Place(
    "the owner of a tag",
    frozenset({User, Group, Tag}),
    ROLE_AUTOGROUPS | {"member"},
    refused='"{selector}" cannot own a tag',
)
APPROVER = Place(
    "an automatic approver",
    frozenset({User, Group, Tag}),
    ROLE_AUTOGROUPS | {"member", "tagged"},
    refused='"{selector}" cannot approve routes or services',
)


class SelectorReader:
    """Parses selectors and reports the ones that cannot stand where they do."""

    def __init__(self, names: Names, found: Collector) -> None:
        self.names = names
        self.found = found
        self._member_spelling: Term | None = None
        self._mixes_spellings = False

    def read(self, term: Term, place: Place) -> Selector | None:
        """Return the selector, or None after reporting why there is none."""
        selector = parse_selector(term.text)
        if selector is None:
            self.found.meaning(
                "POL401", "empty string", term.span, help=f"name {place.words}, or remove it"
            )
            return None
        if not self._may_stand(selector, term, place):
            return None
        return selector if self._refers(selector, term, place) else None

    def read_all(self, terms: list[Term], place: Place) -> tuple[Selector, ...]:
        """Read a list, leaving out what was reported."""
        read = (self.read(term, place) for term in terms)
        return tuple(selector for selector in read if selector is not None)

    def refuse(self, selector: Selector, term: Term, place: Place) -> None:
        """Report a selector of a kind that the place does not take."""
        message = place.refused.format(selector=selector)
        self.found.meaning(
            "POL401", message, term.span, help=f"{selector.noun} cannot be {place.words}"
        )

    def _may_stand(self, selector: Selector, term: Term, place: Place) -> bool:
        if isinstance(selector, Autogroup):
            return self._autogroup_may_stand(selector, term, place)
        if type(selector) in place.kinds:
            return True
        self.refuse(selector, term, place)
        return False

    def _autogroup_may_stand(self, selector: Autogroup, term: Term, place: Place) -> bool:
        if selector.name == "member":
            self._check_spelling(term)
        if selector.name in place.autogroups:
            return True
        if selector.name not in AUTOGROUPS:
            close = nearest(selector.name, sorted(AUTOGROUPS))
            self.found.meaning(
                "POL308",
                f'autogroup not found: "{selector}"',
                term.span,
                help=f"did you mean `autogroup:{close}`?" if close else None,
            )
        elif selector.name in place.peculiar:
            code, message, help_text = place.peculiar[selector.name]
            self.found.meaning(code, message, term.span, help=help_text)
        else:
            self.refuse(selector, term, place)
        return False

    def _check_spelling(self, term: Term) -> None:
        """Report, once, that both spellings of one autogroup are in use."""
        first = self._member_spelling
        if first is None:
            self._member_spelling = term
        elif first.text != term.text and not self._mixes_spellings:
            self._mixes_spellings = True
            self.found.meaning(
                "POL412",
                f'cannot mix "{first.text}" and "{term.text}"',
                term.span,
                help="write `autogroup:member` throughout",
                related=(Related(f"`{first.text}` is used here", first.span),),
            )

    def _refers(self, selector: Selector, term: Term, place: Place) -> bool:
        missing = self.names.undefined(selector)
        if missing is not None:
            code, words, help_text = missing
            if place is TARGET and isinstance(selector, HostAlias):
                words = place.refused.format(selector=selector)
            message = place.undefined.format(words=words, selector=selector)
            close = self.names.meant(selector)
            fix = Fix(term.span, close, f"replace with `{close}`") if close else None
            self.found.meaning(code, message, term.span, help=help_text, fix=fix)
            return False
        if isinstance(selector, DomainUsers) and self.names.is_foreign(selector.domain):
            self.found.meaning(
                "POL309",
                place.foreign.format(domain=selector.domain),
                term.span,
                help="only a mail domain of this tailnet can be used",
            )
            return False
        return True
