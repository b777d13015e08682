"""Which rules of a policy concern a user, or a port of an address (policy reference 2.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from control.errors import InvalidRequestError
from engine.compile.openings import openings_of
from engine.compile.origins import origin_of, rules_in_force
from engine.netset.address import Address, AddressError
from engine.netset.constants import ANY_SET
from engine.netset.ipset import IpSet
from engine.netset.ports import PortSet
from engine.resolve.selectors import Resolver
from policy.model.rules import Acl
from policy.model.selectors import Autogroup, Selector, Wildcard

if TYPE_CHECKING:
    from engine.compile.openings import Opening
    from engine.directory import Directory
    from policy.model.document import Policy
    from policy.model.rules import Grant

__all__ = ["preview"]


def preview(policy: Policy, directory: Directory, kind: str, wanted: str) -> list[dict[str, Any]]:
    """Return the rules for a login (`user`) or for `ADDRESS:PORT` (`ipport`), in order.

    Raises InvalidRequestError.
    """
    finder = _Finder(Resolver(policy, directory))
    rules = rules_in_force(policy)
    if kind == "user":
        if wanted not in directory.by_login:
            raise InvalidRequestError(f"previewFor: there is no user {wanted}")
        found = [rule for rule in rules if finder.has_user(rule, wanted)]
    else:
        address, port = _read_target(wanted)
        found = [rule for rule in rules if finder.opens(rule, address, port)]
    return [_spelled(rule) for rule in found]


class _Finder:
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def has_user(self, rule: Acl | Grant, login: str) -> bool:
        """Tell whether a rule takes a user's devices as sources; one without devices has none."""
        owned = set(self._resolver.directory.by_user.get(login, ()))
        return any(
            isinstance(source, Wildcard)
            or (isinstance(source, Autogroup) and source.name == "danger-all")
            or not owned.isdisjoint(self._resolver.extent(source).nodes)
            for source in rule.src
        )

    def opens(self, rule: Acl | Grant, address: Address, port: int) -> bool:
        """Tell whether a rule opens a port of an address to anybody."""
        return any(
            opening.has((6, 17), port) and address in self._held(opening.selector)
            for opening in openings_of(rule)
        )

    def _held(self, selector: Selector) -> IpSet:
        directory = self._resolver.directory
        if isinstance(selector, Wildcard):
            return ANY_SET
        if isinstance(selector, Autogroup) and selector.name == "self":
            owned = [index for indices in directory.by_user.values() for index in indices]
            return IpSet.of_addresses(ip for i in owned for ip in directory.nodes[i].addresses)
        extent = self._resolver.extent(selector)
        own = IpSet.of_addresses(ip for i in extent.nodes for ip in directory.nodes[i].addresses)
        return own | IpSet.of_strings(extent.texts)


def _read_target(text: str) -> tuple[Address, int]:
    host, _, port = text.rpartition(":")
    try:
        address = Address.parse(host.removeprefix("[").removesuffix("]"))
    except AddressError as error:
        raise InvalidRequestError(f"previewFor: {error}") from None
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise InvalidRequestError("previewFor: ADDRESS:PORT")
    return address, int(port)


def _spelled(rule: Acl | Grant) -> dict[str, Any]:
    return {
        "users": [str(selector) for selector in rule.src],
        "ports": [_port_text(opening) for opening in openings_of(rule)],
        "lineNumber": origin_of(rule).line,
        "via": [] if isinstance(rule, Acl) else list(rule.via),
        "postures": list(rule.src_posture),
    }


def _port_text(opening: Opening) -> str:
    return f"{opening.selector}:{PortSet.of((opening.ports.first, opening.ports.last))}"
