"""The demo's network with two members only, who talk directly or, where UDP is shut, by relay."""

from __future__ import annotations

from node.demo.network import MEMBERS, Network, wait_until

A, B, PORT = "ops", "production", 443
_POLICY = """{
  "tagOwners": {"tag:production": ["oli@corp.example"]},
  "acls": [{"action": "accept", "src": ["oli@corp.example"], "dst": ["tag:production:*"]}],
}"""
_NO_UDP = """table inet relayonly {
  chain input { type filter hook input priority -10; iifname "eth0" meta l4proto udp drop; }
  chain output { type filter hook output priority -10; oifname "eth0" meta l4proto udp drop; }
}
"""


class TwoNodes(Network):
    """Hosts A and B, where A may open any connection to B."""

    def join(self) -> None:
        """Let in the two that talk, and nobody else; returns when they can."""
        users = {"oli": self._add_user("oli")}
        for member in MEMBERS:
            if member.host in {A, B}:
                self._bring_up(member, self._add_key(users.get(member.owner), member.tag))
        self.set_policy(_POLICY)
        wait_until(lambda: self.connect(A, B, PORT) == f"open {B}", "traffic")

    def shut_udp(self) -> None:
        """Leave the relay as the only way."""
        self.lab.run(B, "nft", "-f", "-", text=_NO_UDP)

    def open_udp(self) -> None:
        """Let the direct way work again."""
        self.lab.run(B, "nft", "delete", "table", "inet", "relayonly")

    def direct_way(self) -> str:
        """Return the address that A reaches B at, empty when the relay carries; makes traffic."""
        self.connect(A, B, PORT)
        peer = self.peer(A, B)
        return "" if peer is None else str(peer["CurAddr"])
