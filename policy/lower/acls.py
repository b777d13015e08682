"""`acls`, checked in the order in which the service does (policy reference 2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.lower.fields import Fields
from policy.lower.network import (
    check_self,
    is_zero_prefix,
    posture_names,
    refuse_all_addresses,
)
from policy.lower.places import ACL_DESTINATION, SOURCE
from policy.model.ports import (
    ANY,
    PROTOCOLS_WITH_PORTS,
    PolicyValueError,
    parse_ports,
    parse_protocol,
)
from policy.model.rules import Acl, AclDestination
from policy.model.selectors import HostAlias, parse_selector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from policy.hujson.tree import Object
    from policy.lower.places import SelectorReader
    from policy.model.ports import Ports
    from policy.model.term import Term

__all__ = ["lower_acls"]

_ACL_FIELDS = {
    "action": "action",
    "src": "src",
    "users": "src",
    "dst": "dst",
    "ports": "dst",
    "proto": "proto",
    "srcposture": "srcPosture",
}


def lower_acls(objects: Iterable[Object], reader: SelectorReader) -> tuple[Acl, ...]:
    """Read every acl."""
    return tuple(_acl(place, node, reader) for place, node in enumerate(objects))


def _acl(position: int, node: Object, reader: SelectorReader) -> Acl:
    found = reader.found
    fields = Fields(node, _ACL_FIELDS, found)
    action = fields.string("action")
    if action is None or action.text != "accept":
        found.meaning(
            "POL210",
            f'action="{action.text if action else ""}" is not supported',
            action.span if action else node.span,
            help="the only action is `accept`; what no rule accepts is denied",
        )
    protocol = _protocol(fields, reader)
    sources = fields.strings("src")
    src = reader.read_all(sources, SOURCE)
    terms = fields.strings("dst")
    split = [_split_destination(term, reader) for term in terms]
    dst = [_destination(*parts, protocol, reader) for parts in split if parts is not None]
    destinations = tuple(d for d in dst if d is not None)
    check_self([d.selector for d in destinations], sources, reader, wildcard_counts=False)
    return Acl(
        position=position,
        span=node.span,
        line=found.source.position(node.start).line,
        src=src,
        dst=destinations,
        protocol=protocol,
        src_posture=posture_names(fields, reader),
    )


def _protocol(fields: Fields, reader: SelectorReader) -> int | None:
    term = fields.string("proto")
    if term is None or not term.text:
        return None
    try:
        return parse_protocol(term.text)
    except PolicyValueError as error:
        reader.found.meaning("POL221", str(error), term.span)
        return None


def _split_destination(
    term: Term, reader: SelectorReader
) -> tuple[Term, Term, tuple[Ports, ...]] | None:
    """Split at the last colon; the ports are read before the selector is."""
    selector, colon, ports = term.text.rpartition(":")
    problem = None
    if not colon:
        problem = 'hostport must contain a colon (":")'
    elif "," in selector:
        problem = 'host cannot contain a comma (",")'
    if problem is None:
        try:
            read = parse_ports(ports)
        except PolicyValueError as error:
            problem = str(error)
    if problem is not None:
        reader.found.meaning(
            "POL220",
            f'dst="{term.text}": {problem}',
            term.span,
            help=_port_help(term.text),
        )
        return None
    start = term.span.start
    host = selector.removeprefix("[").removesuffix("]") if selector[:1] == "[" else selector
    return (
        term._replace(text=host.rstrip(" \t"), span=term.span._replace(end=start + len(selector))),
        term,
        read,
    )


def _port_help(text: str) -> str | None:
    """Explain the trap of the last colon: a prefixed selector without its port."""
    whole = parse_selector(text)
    if whole is not None and not isinstance(whole, HostAlias):
        return f"an acl destination ends in ports: write `{text}:*` or `{text}:443`"
    return "ports are numbers: `443`, `80,443`, `8000-8999` or `*`"


def _destination(
    host: Term,
    whole: Term,
    ports: tuple[Ports, ...],
    protocol: int | None,
    reader: SelectorReader,
) -> AclDestination | None:
    if is_zero_prefix(host):
        refuse_all_addresses(host, reader)
        return None
    selector = reader.read(host, ACL_DESTINATION)
    if selector is None:
        return None
    if protocol is not None and protocol not in PROTOCOLS_WITH_PORTS and ports != (ANY,):
        reader.found.meaning(
            "POL222",
            f'dst="{whole.text}": protocol {protocol} has no ports, use "*"',
            whole.span,
            help="only tcp, udp and sctp have ports",
        )
    return AclDestination(selector, ports)
