"""`groups`, `tagOwners`, `hosts`, `ipsets`, `postures`: what rules refer to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from policy.hujson.tree import Array, Object, String
from policy.lower.fields import Fields, term
from policy.lower.places import TAG_OWNER, SelectorReader
from policy.model.definitions import (
    GroupDefinition,
    HostDefinition,
    PostureDefinition,
    TagOwners,
)
from policy.model.ports import PolicyValueError
from policy.model.postures import parse_posture_assertion

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from policy.diagnostics.diagnostic import Collector
    from policy.model.definitions import Assertion
    from policy.model.term import Term

__all__ = [
    "lower_groups",
    "lower_hosts",
    "lower_postures",
    "lower_tag_owners",
    "read_network",
]

_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_HOST_PREFIXES = ("tag:", "group:", "autogroup:", "ipset:", "svc:", "user:", "posture:")


def lower_groups(document: Fields, found: Collector) -> dict[str, GroupDefinition]:
    """Read `groups`. Bad members are reported by group name in descending order, as recorded."""
    groups: dict[str, GroupDefinition] = {}
    members: dict[str, list[Term]] = {}
    for name, value in document.entries("groups"):
        if not name.value.startswith("group:") or name.value == "group:":
            found.meaning(
                "POL229",
                f"groups[\"{name.value}\"]: group names must start with 'group:'",
                name.span,
                help=f"call it `group:{name.value.removeprefix('group:') or 'name'}`",
            )
            continue
        members[name.value] = document.string_list(value, f'groups["{name.value}"]')
        groups[name.value] = GroupDefinition(
            name.value, tuple(item.text for item in members[name.value]), name.span
        )
    for group in sorted(members, reverse=True):
        _check_members(group, members[group], found)
    return groups


def _check_members(group: str, members: list[Term], found: Collector) -> None:
    for member in members:
        frame = f'groups["{group}"]: "{member.text}": '
        if member.text.startswith("group:") and "@" not in member.text:
            found.meaning(
                "POL306",
                f"{frame}group members cannot be recursive",
                member.span,
                help="list the members of that group here, or name both groups in the rule",
            )
        elif member.text.startswith(("tag:", "autogroup:")) or not member.text:
            found.meaning(
                "POL401",
                f"{frame}group members must be users",
                member.span,
                help="a group holds logins such as `ann@corp.test`",
            )


def lower_tag_owners(document: Fields, found: Collector) -> dict[str, tuple[Term, list[Term]]]:
    """Read the names and owner terms of `tagOwners`; `tag_owners` turns them into selectors."""
    owners: dict[str, tuple[Term, list[Term]]] = {}
    for name, value in document.entries("tagOwners"):
        owners[name.value] = (
            term(name),
            document.string_list(value, f'tagOwners["{name.value}"]'),
        )
    for tag in sorted(owners, reverse=True):
        problem = _tag_problem(tag)
        if problem:
            found.meaning("POL229", f'tagOwners["{tag}"]: {problem}', owners[tag][0].span)
    return owners


def tag_owners(
    owners: dict[str, tuple[Term, list[Term]]], reader: SelectorReader
) -> dict[str, TagOwners]:
    """Turn owner terms into selectors, once every tag and group is known."""
    return {
        tag: TagOwners(tag, reader.read_all(terms, TAG_OWNER), name.span)
        for tag, (name, terms) in owners.items()
    }


def _tag_problem(tag: str) -> str | None:
    """Return what the service says of a tag name, or None."""
    if not tag.startswith("tag:"):
        return "tags must start with 'tag:'"
    name = tag.removeprefix("tag:")
    if not name:
        return "tag names must not be empty"
    if not (name[0].isascii() and name[0].isalpha()):
        return "tag names must start with a letter, after 'tag:'"
    if not _TAG_NAME.fullmatch(name):
        return "tag names can only contain numbers, letters, or dashes"
    return None


def lower_hosts(document: Fields, found: Collector) -> dict[str, HostDefinition]:
    """Read `hosts`. Host bits are masked."""
    hosts = {}
    for name, value in document.entries("hosts"):
        if "@" in name.value or name.value.startswith(_HOST_PREFIXES) or name.value in {"", "*"}:
            found.meaning(
                "POL229",
                f'hosts["{name.value}"]: not a name that a host alias can have',
                name.span,
                help="a host alias has no `@` and no selector's prefix such as `tag:`",
            )
            continue
        if not isinstance(value, String):
            document.wrong_type(value, f'hosts["{name.value}"]', "a string")
            continue
        network = read_network(value.value.strip(" \t"))
        if network is None:
            found.meaning(
                "POL223",
                f'hosts["{name.value}"]: "{value.value}": invalid address',
                value.span,
                help="write an IP address such as `10.1.2.3` or a CIDR such as `10.1.0.0/16`",
            )
            continue
        hosts[name.value] = HostDefinition(name.value, network, name.span)
    return hosts


def read_network(text: str) -> IPv4Network | IPv6Network | None:
    """Parse an address or CIDR, masking host bits; None where it is neither."""
    # Imported here: a policy without literal addresses, as most small ones, starts faster.
    import ipaddress  # noqa: PLC0415

    if "%" in text or len(text) > 64:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def lower_postures(document: Fields, found: Collector) -> dict[str, PostureDefinition]:
    """Read `postures`, in both their forms."""
    postures = {}
    for name, value in document.entries("postures"):
        if not name.value.startswith("posture:") or name.value == "posture:":
            found.meaning(
                "POL229",
                f"postures[\"{name.value}\"]: posture names must start with 'posture:'",
                name.span,
            )
            continue
        message = None
        assertions: list[Term] = []
        match value:
            case Array():
                assertions = document.string_list(value, f'postures["{name.value}"]')
            case Object():
                assertions, message = _posture_object(value, found)
            case _:
                document.wrong_type(value, f'postures["{name.value}"]', "an array of strings")
        postures[name.value] = PostureDefinition(
            name.value, _assertions(name.value, assertions, found), message, name.span
        )
    return postures


_POSTURE_FIELDS = {"assertions": "assertions", "onfailure": "onFailure"}
_ON_FAILURE_FIELDS = {"message": "message"}


def _posture_object(value: Object, found: Collector) -> tuple[list[Term], str | None]:
    fields = Fields(value, _POSTURE_FIELDS, found)
    failure = fields.object("onFailure")
    message = Fields(failure, _ON_FAILURE_FIELDS, found).string("message") if failure else None
    return fields.strings("assertions"), message.text if message else None


def _assertions(name: str, terms: list[Term], found: Collector) -> tuple[Assertion, ...]:
    assertions = []
    for item in terms:
        try:
            assertions.append(parse_posture_assertion(item.text))
        except PolicyValueError as error:
            found.meaning(
                "POL227",
                f'postures["{name}"]: {error}',
                item.span,
                help="write `attribute operator value`, as in `node:os == 'linux'`",
            )
    return tuple(assertions)
