"""Commands about devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from control.cli.login_commands import let_in
from control.cli.parsing import listed
from control.cli.sureness import is_sure
from control.cli.wg_config import add_wg_config

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_node_commands"]


def add_node_commands(parser: Parser) -> None:
    """Declare `nodes ...`."""
    parser.group("nodes", "devices", "node")
    add = parser.command("nodes list", "list nodes", _nodes_list, aliases=["ls"]).add_argument
    add("-u", "--user", default="", help="of this user only, number or name")
    parser.command("nodes list-routes", "list routes", _nodes_routes).add_argument(
        "-i", "--identifier", type=int
    )
    register = parser.command("nodes register", "let a waiting node in", let_in)
    register.add_argument("-u", "--user", required=True)
    register.add_argument("-k", "--key", dest="auth_id", required=True)
    expire = parser.command("nodes expire", "end a node key's life", _nodes_expire)
    expire.add_argument("-e", "--expiry", default="", help="RFC 3339; now where left out")
    expire.add_argument("-d", "--disable", action="store_true", help="never expire")
    rename = parser.command("nodes rename", "rename a node", _nodes_rename)
    rename.add_argument("new_name")
    delete = parser.command("nodes delete", "delete a node", _nodes_delete, aliases=["rm"])
    tag = parser.command("nodes tag", "set a node's tags", _nodes_tag)
    tag.add_argument("-t", "--tags", required=True, help="tag:a,tag:b")
    routes = parser.command("nodes approve-routes", "approve exactly these routes", _nodes_approve)
    routes.add_argument("-r", "--routes", default="", help="10.0.0.0/8,0.0.0.0/0; empty for none")
    authorize = parser.command("nodes authorize", "let an unapproved node in", _nodes_authorize)
    for each in (expire, rename, delete, tag, routes, authorize):
        each.add_argument("-i", "--identifier", type=int, required=True)
    add_wg_config(parser)
    parser.command("nodes backfillips", "give nodes the addresses that they lack", _nodes_backfill)


_NODE_HEADINGS = ("ID", "NAME", "USER", "TAGS", "ADDRESSES", "ONLINE", "EXPIRES", "LAST SEEN")


def _node_row(node: dict[str, Any]) -> tuple[object, ...]:
    user = node["user"]["name"] if node["user"] else ""
    return (
        node["id"],
        node["givenName"],
        user,
        node["tags"],
        node["ipAddresses"],
        node["online"],
        node["expiry"],
        node["lastSeen"],
    )


def _nodes_list(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("node", user=o.user)["nodes"]
    output.show(found, _NODE_HEADINGS, [_node_row(node) for node in found])


def _nodes_routes(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = [
        node
        for node in client.get("node")["nodes"]
        if node["availableRoutes"] or node["approvedRoutes"]
        if o.identifier in {None, int(node["id"])}
    ]
    rows = [
        (n["id"], n["givenName"], n["approvedRoutes"], n["availableRoutes"], n["subnetRoutes"])
        for n in found
    ]
    output.show(found, ("ID", "NAME", "APPROVED", "AVAILABLE", "SERVING"), rows)


def _nodes_expire(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    body: dict[str, object] = {"disableExpiry": True} if o.disable else {}
    if o.expiry:
        body["expiry"] = o.expiry
    node = client.post("node", o.identifier, "expire", **body)["node"]
    output.say(node, f"node {node['givenName']} expires: {node['expiry'] or 'never'}")


def _nodes_rename(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "rename", o.new_name)["node"]
    output.say(node, f"node {node['id']} is called {node['givenName']} now")


def _nodes_delete(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    if not is_sure(o, f"delete node {o.identifier}"):
        return 1
    client.delete("node", o.identifier)
    output.say({}, f"node {o.identifier} is deleted")
    return 0


def _nodes_tag(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "tags", tags=listed(o.tags))["node"]
    output.say(node, f"node {node['givenName']} has the tags {', '.join(node['tags'])}")


def _nodes_approve(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "approve_routes", routes=listed(o.routes))["node"]
    routes = ", ".join(node["approvedRoutes"]) or "none"
    output.say(node, f"node {node['givenName']} has these routes approved: {routes}")


def _nodes_backfill(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    if not is_sure(o, "give and take addresses of nodes, as the configured prefixes ask for"):
        return 1
    found = client.post_query("node", "backfillips", confirmed="true")
    output.say(found, "\n".join(found["changes"]) or "every node has its addresses")
    return 0


def _nodes_authorize(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "authorize")["node"]
    output.say(node, f"node {node['givenName']} takes part now")
