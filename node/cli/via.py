"""`postern via`: the IPv6 prefix under which a site's IPv4 subnet is advertised and reached."""

from __future__ import annotations

import argparse
import ipaddress

from control.wire.tailnet_address import via_prefix

__all__ = ["main"]

_MOST = 65535
"""Larger numbers fit the address, but are reserved (relay reference 7.5)."""


def main(arguments: list[str]) -> int:
    """Run `postern via`. Returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="postern via",
        description="Print the 4via6 prefix of an IPv4 subnet at a site, for --advertise-routes. "
        "Sites with the same addresses differ by their number.",
    )
    parser.add_argument("site", type=_site, help=f"number of the site, 0 to {_MOST}")
    parser.add_argument("subnet", type=_subnet, metavar="CIDR", help="IPv4, such as 10.1.0.0/16")
    options = parser.parse_args(arguments)
    print(via_prefix(options.site, options.subnet))
    return 0


def _site(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 to {_MOST}")
    return number


def _subnet(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
