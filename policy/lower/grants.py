"""`grants`, checked in the order in which the service does (policy reference 2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.plain import to_python
from policy.hujson.tree import Array, Literal, Object
from policy.lower.capabilities import capability_problem
from policy.lower.fields import Fields
from policy.lower.network import (
    check_self,
    is_zero_prefix,
    posture_names,
    refuse_all_addresses,
)
from policy.lower.places import DESTINATION, SOURCE
from policy.model.ports import (
    ANY,
    PROTOCOLS_WITH_PORTS,
    PolicyValueError,
    parse_grant_ip,
)
from policy.model.rules import Grant
from policy.model.selectors import Autogroup, Tag, parse_selector

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from policy.lower.places import SelectorReader
    from policy.model.ports import IpSpec
    from policy.model.term import Term

__all__ = ["lower_grants"]

_GRANT_FIELDS = {
    "src": "src",
    "dst": "dst",
    "ip": "ip",
    "app": "app",
    "via": "via",
    "srcposture": "srcPosture",
}


def lower_grants(objects: Iterable[Object], reader: SelectorReader) -> tuple[Grant, ...]:
    """Read every grant."""
    return tuple(_grant(place, node, reader) for place, node in enumerate(objects))


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
    dst = reader.read_all([t for t in terms if not is_zero_prefix(t)], DESTINATION)
    check_self(list(dst), sources, reader, wildcard_counts=True)
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
        isinstance(app, Object) and bool(app.members)
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


def _check_zero_prefixes(terms: list[Term], reader: SelectorReader) -> None:
    for term in terms:
        if is_zero_prefix(term):
            refuse_all_addresses(term, reader)


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
