"""What `postern wg up` does to the host beside the tunnel: routes, rules, resolver, saved file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import netns
from tests.support.netns import postern_wg_up, run_directory, tunnels, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.netns import Host, Lab, Tunnel

pytestmark = [pytest.mark.netns, netns.needs("wg", "ping")]

EVERYWHERE = "0.0.0.0/0, ::/0"
FAR4, FAR6 = "198.51.100.9", "2001:db8:99::9"
BEHIND = "203.0.113.2"
"""Where host b's end is: not on the link, so that only a default route leads there."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as directory, netns.lab(Path(directory)) as lab:
        for address in (f"{FAR4}/32", f"{BEHIND}/32"):
            lab.b.run("ip", "addr", "add", address, "dev", "lo")
        lab.b.run("ip", "addr", "add", f"{FAR6}/128", "dev", "lo", "nodad")
        lab.a.run("ip", "route", "add", "default", "via", "192.0.2.2")
        lab.a.run("ip", "-6", "route", "add", "default", "via", "2001:db8::2")
        yield lab


def ends(**changes: object) -> tuple[Tunnel, Tunnel]:
    """Return host a's end, which takes everything, and host b's behind a router."""
    a, b = tunnels()
    return replace(a, allowed=EVERYWHERE, endpoint=f"{BEHIND}:51820", **changes), b  # type: ignore[arg-type]


def pings(host: Host, target: str) -> bool:
    said = host.run("ping", "-n", "-c", "1", "-W", "2", target, check_status=False)
    return " 0% packet loss" in said


def route_to(host: Host, target: str, *mark: str) -> str:
    return host.run("ip", "route", "get", target, *mark)


def rules(host: Host, family: str) -> str:
    return host.run("ip", family, "rule", "show")


def received(host: Host) -> int:
    return int(host.run("cat", "/sys/class/net/wg0/statistics/rx_packets"))


@pytest.mark.parametrize("mark", [0, 0x1234])
def test_default_route_takes_everything_but_the_tunnels_own_datagrams(lab: Lab, mark: int) -> None:
    """Reverse paths are checked strictly meanwhile, as many distributions do."""
    for name in ("all", "eth0"):
        lab.a.sysctl(f"net.ipv4.conf.{name}.rp_filter=1")
    before = [rules(lab.a, family) for family in ("-4", "-6")]
    ours, theirs = ends(lines=(f"FwMark = {mark:#x}",) if mark else ())
    postern_wg_up(lab.b, theirs)
    process = postern_wg_up(lab.a, ours)
    table = str(mark or 51820)
    for target in (FAR4, FAR6):
        assert "dev wg0" in route_to(lab.a, target)
        until(lambda target=target: pings(lab.a, target), f"an answer of {target}")  # type: ignore[misc]
    assert received(lab.b) >= 2
    assert "dev eth0" in route_to(lab.a, BEHIND, "mark", table)
    # What the main table knows better than by its default route stays where it was.
    assert "dev eth0" in route_to(lab.a, "192.0.2.9")
    for family in ("-4", "-6"):
        assert "suppress_prefixlength 0" in rules(lab.a, family)
        assert f"not from all fwmark {int(table):#x} lookup {table}" in rules(lab.a, family)
    lab.a.stop(process)
    assert [rules(lab.a, family) for family in ("-4", "-6")] == before
    assert "dev eth0" in route_to(lab.a, FAR4)


def test_table_off_leaves_the_routes_alone(lab: Lab) -> None:
    ours, theirs = ends(lines=("Table = off",))
    before = lab.a.run("ip", "-4", "route", "show"), rules(lab.a, "-4")
    postern_wg_up(lab.b, theirs)
    postern_wg_up(lab.a, ours)
    added = lab.a.run("ip", "-4", "route", "show").replace(before[0], "").strip().splitlines()
    assert [line.split()[0] for line in added if "wg0" in line] == ["10.7.0.0/24"]
    assert rules(lab.a, "-4") == before[1]
    until(lambda: pings(lab.a, "10.7.0.2"), "an answer through the tunnel")


def test_table_of_its_own_gets_the_routes(lab: Lab) -> None:
    ours, theirs = ends(lines=("Table = 4711",))
    postern_wg_up(lab.b, theirs)
    postern_wg_up(lab.a, ours)
    assert "dev eth0" in route_to(lab.a, FAR4)
    assert "default dev wg0" in lab.a.run("ip", "-4", "route", "show", "table", "4711")
    assert "default dev wg0" in lab.a.run("ip", "-6", "route", "show", "table", "4711")


def recording_resolvconf(lab: Lab, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> Path:
    """Put a `resolvconf` on the path that writes down what it is asked; return its notes."""
    directory = lab.a.directory / "bin"
    directory.mkdir()
    notes = directory / "notes"
    program = directory / "resolvconf"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {notes}\n[ "$1" = -a ] && cat >> {notes}\nexit {status}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin")
    return notes


def test_dns_is_given_to_resolvconf_and_taken_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = recording_resolvconf(lab, monkeypatch)
    ours, _ = ends(lines=("DNS = 10.7.0.53, fd07::53, corp.example",))
    process = postern_wg_up(lab.a, ours)
    up = [
        "-a tun.wg0 -m 0 -x",
        "nameserver 10.7.0.53",
        "nameserver fd07::53",
        "search corp.example",
    ]
    assert notes.read_text().splitlines() == up
    lab.a.stop(process)
    assert notes.read_text().splitlines() == [*up, "-d tun.wg0 -f"]


def fails_to_come_up(lab: Lab, tunnel: Tunnel) -> str:
    """Try to bring host a's end up; return what it said when it did not."""
    with pytest.raises(AssertionError) as refused:
        postern_wg_up(lab.a, tunnel)
    return str(refused.value)


def test_dns_without_resolvconf_is_refused_before_anything_is_done(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = lab.a.directory / "bin"
    directory.mkdir()
    (directory / "ip").symlink_to("/sbin/ip")
    ours, _ = ends(lines=("DNS = 10.7.0.53",))
    monkeypatch.setenv("PATH", str(directory))
    assert "no resolvconf; install it (openresolv) or leave DNS out" in fails_to_come_up(lab, ours)
    assert "wg0" not in lab.a.run("ip", "link", "show")


def test_resolvconf_that_fails_takes_everything_down_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_resolvconf(lab, monkeypatch, status=3)
    before = rules(lab.a, "-4")
    ours, _ = ends(lines=("DNS = 10.7.0.53",))
    assert "resolvconf failed with status 3" in fails_to_come_up(lab, ours)
    assert rules(lab.a, "-4") == before
    assert "wg0" not in lab.a.run("ip", "link", "show")
    assert not (run_directory(lab.a) / "wg0.sock").exists()


def stop_and_read(host: Host, process: subprocess.Popen[bytes]) -> str:
    host.stop(process)
    return (host.directory / f"{host.name}.wg0.conf").read_text()


def test_saved_configuration_holds_where_the_peer_went(lab: Lab) -> None:
    a, b = tunnels()
    a = replace(a, lines=("SaveConfig = true",))
    process = postern_wg_up(lab.a, a)
    postern_wg_up(lab.b, replace(b, port=40404))
    until(lambda: pings(lab.b, "10.7.0.1"), "an answer through the tunnel")
    saved = stop_and_read(lab.a, process)
    assert "Endpoint = 192.0.2.2:40404" in saved
    assert f"PrivateKey = {a.private}" in saved
    assert "SaveConfig = true" in saved
    file = lab.a.directory / f"{lab.a.name}.wg0.conf"
    assert file.stat().st_mode & 0o777 == 0o600
    # What was saved works: this end finds the peer by it.
    file.rename(file.with_suffix(".kept"))
    again = replace(a, endpoint="192.0.2.2:40404")
    postern_wg_up(lab.a, again)
    until(lambda: pings(lab.a, "10.7.0.2"), "an answer by the saved endpoint")


def test_without_save_config_the_file_stays_as_it_is(lab: Lab) -> None:
    a, b = tunnels()
    process = postern_wg_up(lab.a, a)
    postern_wg_up(lab.b, replace(b, port=40404))
    until(lambda: pings(lab.b, "10.7.0.1"), "an answer through the tunnel")
    assert stop_and_read(lab.a, process) == a.text()
