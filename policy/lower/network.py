"""`acls` and `grants`, checked in the order in which the service does (policy reference 2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.plain import to_python
from policy.hujson.tree import Array, Literal
from policy.lower.capabilities import capability_problem
from policy.lower.fields import Fields
from policy.lower.places import ACL_DESTINATION, DESTINATION, SOURCE
from policy.model.ports import (
    ANY,
    PROTOCOLS_WITH_PORTS,
    PolicyValueError,
    parse_grant_ip,
    parse_ports,
    parse_protocol,
)
from policy.model.rules import Acl, AclDestination, Grant
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
    from collections.abc import Iterable
    from typing import Any

    from policy.hujson.tree import Object
    from policy.lower.places import SelectorReader
    from policy.model.ports import IpSpec, Ports
    from policy.model.selectors import Selector
    from policy.model.term import Term

__all__ = ["lower_acls", "lower_grants", "posture_names"]

_ACL_FIELDS = {
    "action": "action",
    "src": "src",
    "users": "src",
    "dst": "dst",
    "ports": "dst",
    "proto": "proto",
    "srcposture": "srcPosture",
}
_GRANT_FIELDS = {
    "src": "src",
    "dst": "dst",
    "ip": "ip",
    "app": "app",
    "via": "via",
    "srcposture": "srcPosture",
}
_ALL_ADDRESSES = 'to allow all IP addresses, use "*" or "autogroup:internet"'
_SELF_ONLY = "autogroup:self can only be used with users, groups, or supported autogroups"


def lower_acls(objects: Iterable[Object], reader: SelectorReader) -> tuple[Acl, ...]:
    """Read every acl."""
    return tuple(_acl(place, node, reader) for place, node in enumerate(objects))


def lower_grants(objects: Iterable[Object], reader: SelectorReader) -> tuple[Grant, ...]:
    """Read every grant."""
    return tuple(_grant(place, node, reader) for place, node in enumerate(objects))


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
    _check_self([d.selector for d in destinations], sources, reader, wildcard_counts=False)
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
    if _is_zero_prefix(host):
        _refuse_all_addresses(host, reader)
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


def _refuse_all_addresses(term: Term, reader: SelectorReader) -> None:
    reader.found.meaning("POL405", f'dst "{term.text}": {_ALL_ADDRESSES}', term.span)


def _check_self(
    dst: list[Selector], sources: list[Term], reader: SelectorReader, *, wildcard_counts: bool
) -> None:
    """Report `autogroup:self` reached from anything that has no user."""
    if not any(isinstance(s, Autogroup) and s.name == "self" for s in dst):
        return
    for term in sources:
        selector = parse_selector(term.text)
        if isinstance(selector, Tag | HostAlias | Address | Cidr | IpSetName) or (
            isinstance(selector, Wildcard) and wildcard_counts
        ):
            break
        if isinstance(selector, Autogroup) and selector.name in {"tagged", "danger-all", "shared"}:
            break
    else:
        return
    reader.found.meaning(
        "POL403",
        _SELF_ONLY,
        term.span,
        help="use `autogroup:member` as the source: every user reaches their own devices",
    )


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


def _grant(position: int, node: Object, reader: SelectorReader) -> Grant:
    found = reader.found
    fields = Fields(node, _GRANT_FIELDS, found)
    app = _app_json(fields)
    ip_terms = fields.strings("ip")
    if not ip_terms and not app and not _unreadable(fields):
        found.meaning(
            "POL215",
            "ip and app can not both be empty",
            node.span,
            help='grant the network with `"ip": ["*"]` or some ports, an application with `app`',
        )
    ip = _ip(ip_terms, reader)
    sources = fields.strings("src")
    src = reader.read_all(sources, SOURCE)
    terms = fields.strings("dst")
    _check_zero_prefixes(terms, reader)
    _check_app(fields, app, terms, reader)
    dst = reader.read_all([t for t in terms if not _is_zero_prefix(t)], DESTINATION)
    _check_self(list(dst), sources, reader, wildcard_counts=True)
    return Grant(
        position=position,
        span=node.span,
        line=found.source.position(node.start).line,
        src=src,
        dst=dst,
        ip=ip,
        app=app,
        via=_via(fields, reader),
        src_posture=posture_names(fields, reader),
    )


def _unreadable(fields: Fields) -> bool:
    """Whether `ip` or `app` holds something whose shape was already refused."""
    ip, app = fields.get("ip"), fields.get("app")
    return (isinstance(ip, Array) and bool(ip.elements)) or (
        app is not None and not fields.object("app")
    )


def _app_json(fields: Fields) -> dict[str, Any]:
    app: dict[str, Any] = {}
    for name, value in fields.entries("app"):
        if isinstance(value, Array):
            app[name.value] = to_python(value)
        elif isinstance(value, Literal) and value.value is None:
            app[name.value] = []
        else:
            fields.wrong_type(value, f'app["{name.value}"]', "an array")
    return app


def _ip(terms: list[Term], reader: SelectorReader) -> tuple[IpSpec, ...]:
    specs = []
    for term in terms:
        try:
            spec = parse_grant_ip(term.text)
        except PolicyValueError as error:
            code = "POL221" if "proto" in str(error) else "POL220"
            reader.found.meaning(
                code,
                str(error),
                term.span,
                help="write `*`, `443`, `8000-8999`, or with a protocol `tcp:443` and `icmp:*`",
            )
            continue
        if (
            spec.protocol is not None
            and spec.protocol not in PROTOCOLS_WITH_PORTS
            and spec.ports != ANY
        ):
            reader.found.meaning(
                "POL222",
                f'ip="{term.text}": protocol {spec.protocol} has no ports, use "*"',
                term.span,
                help="only tcp, udp and sctp have ports",
            )
        specs.append(spec)
    return tuple(specs)


def _is_zero_prefix(term: Term) -> bool:
    selector = parse_selector(term.text)
    return isinstance(selector, Cidr) and not selector.network.prefixlen


def _check_zero_prefixes(terms: list[Term], reader: SelectorReader) -> None:
    for term in terms:
        if _is_zero_prefix(term):
            _refuse_all_addresses(term, reader)


def _check_app(
    fields: Fields, app: dict[str, Any], dst: list[Term], reader: SelectorReader
) -> None:
    for name, _ in fields.entries("app"):
        problem = capability_problem(name.value)
        if problem is not None:
            code, words, help_text = problem
            reader.found.meaning(code, words, name.span, help=help_text)
    if not app:
        return
    for term in dst:
        selector = parse_selector(term.text)
        if isinstance(selector, Autogroup) and selector.name == "internet":
            reader.found.meaning(
                "POL406",
                "cannot use app grants with autogroup:internet",
                term.span,
                help="an application capability is granted on devices of the tailnet",
            )


def _via(fields: Fields, reader: SelectorReader) -> tuple[str, ...]:
    terms = fields.strings("via")
    tags = []
    for term in terms:
        selector = parse_selector(term.text)
        if not isinstance(selector, Tag):
            reader.found.meaning(
                "POL407",
                "via can only be a tag",
                term.span,
                help="name the tag of the routers or exit nodes that carry the traffic",
            )
    for term in terms:
        selector = parse_selector(term.text)
        if isinstance(selector, Tag):
            tags.append(selector.text)
            if selector.text not in reader.names.tags:
                reader.found.meaning(
                    "POL301",
                    f'tag "{selector}" not found',
                    term.span,
                    help="define it in `tagOwners`",
                )
    return tuple(tags)
