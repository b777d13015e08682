"""The nftables ruleset of a node that forwards: a table of our own, replaced as a whole.

Packets from the tunnel were judged by our own filter already, so they are accepted here and
marked; what leaves for the networks behind us takes the host's address where that is wanted.
What 4via6 translates is hidden in any case: nobody could answer it. MSS is clamped both ways: the
tunnel's MTU is smaller than any LAN's.
"""

from __future__ import annotations

from typing import Final

from node.hostnet.plan import translator_name

__all__ = ["TABLE_PREFIX", "forwarding_ruleset", "record_of", "removal"]

TABLE_PREFIX: Final = "postern-"
_TAILNET_MARK: Final = "0x40000"
_MARK_MASK: Final = "0xff0000"
_OTHER_BITS: Final = "0xff00ffff"
_RECORD_PREFIX: Final = "switches_were_"


def removal(interface: str) -> str:
    """Return the nft script that removes our table, there or not."""
    table = f"inet {TABLE_PREFIX}{interface}"
    return f"table {table}\ndelete table {table}\n"


def record_of(chain: str) -> tuple[str, ...] | None:
    """Return the record in the name of a chain of our table; None for any other chain."""
    if not chain.startswith(_RECORD_PREFIX):
        return None
    return tuple(chain.removeprefix(_RECORD_PREFIX).split("_"))


def forwarding_ruleset(interface: str, *, masquerades: bool, record: tuple[str, ...] = ()) -> str:
    """Return the nft script that puts our table in place of whatever it was.

    `record` are digits to be remembered with the table, for `record_of` to read.
    """
    via = translator_name(interface)
    memory = f"\n  chain {_RECORD_PREFIX}{'_'.join(record)} {{\n  }}" if record else ""
    hidden = (
        f"""
    meta mark & {_MARK_MASK} == {_TAILNET_MARK} oifname != "{interface}" masquerade"""
        if masquerades
        else ""
    )
    return (
        removal(interface)
        + f"""table inet {TABLE_PREFIX}{interface} {{
  chain forward {{
    type filter hook forward priority filter - 5; policy accept;
    iifname "{interface}" meta mark set meta mark & {_OTHER_BITS} | {_TAILNET_MARK}
    iifname "{interface}" tcp flags syn tcp option maxseg size set rt mtu
    oifname "{interface}" tcp flags syn tcp option maxseg size set rt mtu
    oifname "{interface}" ip saddr 100.64.0.0/10 iifname != "{interface}" drop
    iifname "{via}" ct mark set {_TAILNET_MARK}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{via}" masquerade
    ct mark {_TAILNET_MARK} oifname != "{via}" masquerade{hidden}
  }}{memory}
}}
"""
    )
