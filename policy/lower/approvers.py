"""`autoApprovers`: whose routes, exit nodes and services need no approval by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.lower.definitions import read_network
from policy.lower.fields import Fields
from policy.lower.places import APPROVER
from policy.model.definitions import Approvers, AutoApprovers, RouteApprovers

if TYPE_CHECKING:
    from policy.lower.places import SelectorReader

__all__ = ["lower_auto_approvers"]

_FIELDS = {"routes": "routes", "exitnode": "exitNode", "services": "services"}


def lower_auto_approvers(document: Fields, reader: SelectorReader) -> AutoApprovers:
    """Read the section; an absent one approves nothing."""
    node = document.object("autoApprovers")
    if node is None:
        return AutoApprovers()
    fields = Fields(node, _FIELDS, reader.found)
    return AutoApprovers(
        routes=tuple(_routes(fields, reader)),
        exit_node=reader.read_all(fields.strings("exitNode"), APPROVER),
        services=tuple(_services(fields, reader)),
    )


def _routes(fields: Fields, reader: SelectorReader) -> list[RouteApprovers]:
    routes = []
    for name, value in fields.entries("routes"):
        terms = fields.string_list(value, f'autoApprovers.routes["{name.value}"]')
        approvers = reader.read_all(terms, APPROVER)
        network = read_network(name.value.strip(" \t"))
        if network is None:
            reader.found.meaning(
                "POL223",
                f'autoApprovers.routes["{name.value}"]: invalid address',
                name.span,
                help="the name is the CIDR that approved routes lie in, as `10.0.0.0/8`",
            )
        else:
            routes.append(RouteApprovers(network, approvers))
    return routes


def _services(fields: Fields, reader: SelectorReader) -> list[Approvers]:
    services = []
    for name, value in fields.entries("services"):
        terms = fields.string_list(value, f'autoApprovers.services["{name.value}"]')
        approvers = reader.read_all(terms, APPROVER)
        if name.value.startswith("svc:"):
            services.append(Approvers(name.value, approvers))
        else:
            reader.found.meaning(
                "POL229",
                f"autoApprovers.services[\"{name.value}\"]: services must start with 'svc:'",
                name.span,
            )
    return services
