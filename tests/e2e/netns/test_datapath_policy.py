"""The policy on live traffic between two of our own ends."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import netns, transfer
from tests.support.netns import postern_wg, postern_wg_up, run_directory, tunnels, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Host, Lab

pytestmark = [pytest.mark.netns, netns.needs("wg", "iperf3", "ping", "ss", "tcpdump")]

TRANSFER = str(Path(transfer.__file__))
SSH, KEPT, IPERF = 2222, 7777, 5201


def rules(*ports: int) -> list[dict[str, Any]]:
    return [
        {
            "SrcIPs": ["10.7.0.1", "fd07::1"],
            "DstPorts": [
                {"IP": ip, "Ports": {"First": port, "Last": port}} for ip in ("10.7.0.2", "fd07::2")
            ],
            "Line": 10 + number,
        }
        for number, port in enumerate(ports)
    ]


class Bed:
    """Host b enforces a filter, host a is its peer."""

    def __init__(self, lab: Lab) -> None:
        self.a, self.b = lab.a, lab.b
        self.filter_file = lab.b.directory / "filter.json"
        self.filter_file.write_text(json.dumps(rules(SSH, KEPT, IPERF)))
        ours, theirs = tunnels()
        postern_wg_up(self.a, ours)
        postern_wg_up(self.b, theirs, "--filter", str(self.filter_file))
        self.a.run("ping", "-n", "-c", "2", "-i", "0.1", "-W", "5", "10.7.0.2")

    def install(self, *ports: int) -> float:
        """Swap the filter of b; when it was."""
        self.filter_file.write_text(json.dumps(rules(*ports)))
        postern_wg(self.b, "filter", "wg0", str(self.filter_file))
        return time.monotonic()

    def ask(self, what: str) -> Any:
        return json.loads(postern_wg(self.b, what, "wg0"))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(postern_wg(self.b, "show", "--json"))[0]
        return found


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with netns.lab(tmp_path) as lab:
        yield Bed(lab)


def output(host: Host, log: str) -> str:
    path = host.directory / f"{host.name}.{log}"
    return path.read_text() if path.exists() else ""


def listening(host: Host, port: int) -> None:
    until(lambda: f":{port}" in host.run("ss", "-ltn"), f"port {port}")


@pytest.mark.parametrize("target", ["10.7.0.2", "fd07::2"], ids=["ipv4", "ipv6"])
def test_idle_session_is_reset_within_a_second(bed: Bed, target: str) -> None:
    bed.b.start(*bed.b.python(TRANSFER, "accept", target, str(SSH)), log="ssh")
    listening(bed.b, SSH)
    bed.a.start(*bed.a.python(TRANSFER, "idle", target, str(SSH)), log="client")
    until(lambda: "open" in output(bed.b, "ssh"), "the session")
    done = bed.install(KEPT, IPERF)
    until(lambda: "reset" in output(bed.b, "ssh"), "the reset", 5)
    ended = float(output(bed.b, "ssh").split()[-1])
    assert ended < done + 1.0


def test_running_stream_is_cut_within_a_second(bed: Bed) -> None:
    bed.b.start("iperf3", "-s", "-B", "10.7.0.2", log="iperf")
    listening(bed.b, IPERF)
    bed.a.start("iperf3", "-c", "10.7.0.2", "-t", "60", log="iperf")

    def received() -> int:
        return sum(f["bytes_in"] for f in bed.ask("flows") if f["dst_port"] == IPERF)

    until(lambda: received() > 10_000_000, "the stream")
    done = bed.install(SSH, KEPT)
    gone = f"sport = :{IPERF}"
    until(lambda: "ESTAB" not in bed.b.run("ss", "-tn", gone), "the end of the stream", 5)
    assert time.monotonic() < done + 1.0
    cut = received()
    bed.a.run("ping", "-n", "-c", "10", "-i", "0.05", "10.7.0.2")
    assert received() == cut
    assert bed.status()["drops"]["in_revoked"] > 0


def test_flows_that_stay_allowed_lose_no_byte(bed: Bed) -> None:
    bed.b.start(*bed.b.python(TRANSFER, "serve", "10.7.0.2", str(KEPT)), log="serve")
    listening(bed.b, KEPT)
    sender = bed.a.start(
        *bed.a.python(TRANSFER, "send", "10.7.0.2", str(KEPT), "200000000", "3"), log="send"
    )
    swaps = 0
    while sender.poll() is None:
        bed.install(*((SSH, KEPT), (KEPT, IPERF), (KEPT,))[swaps % 3])
        swaps += 1
    assert output(bed.a, "send").strip() == "same"
    assert swaps >= 3
    assert "in_revoked" not in bed.status()["drops"]


def test_offloads_turned_off_and_on_under_a_transfer_corrupt_nothing(bed: Bed) -> None:
    bed.b.start(*bed.b.python(TRANSFER, "serve", "10.7.0.2", str(KEPT)), log="serve")
    listening(bed.b, KEPT)
    sender = bed.a.start(
        *bed.a.python(TRANSFER, "send", "10.7.0.2", str(KEPT), "400000000", "4"), log="send"
    )
    before = [host.counter("TcpInCsumErrors") for host in (bed.a, bed.b)]
    switches = 0
    while sender.poll() is None:
        host = (bed.a, bed.b)[switches // 2 % 2]
        tun, udp = (("none", False), ("tcp_and_udp", True))[switches % 2]
        put(host, "/offloads", {"tun": tun, "udp": udp})
        switches += 1
    assert output(bed.a, "send").strip() == "same"
    assert switches >= 4
    assert [host.counter("TcpInCsumErrors") for host in (bed.a, bed.b)] == before


PUT = """
import sys
from node.localapi.client import ask
ask("wg0", "PUT", sys.argv[1], sys.argv[2])
"""


def put(host: Host, path: str, body: dict[str, Any]) -> None:
    """Ask a host's local API for a change."""
    environment = os.environ | {
        "POSTERN_RUN_DIR": str(run_directory(host)),
        "PYTHONPATH": str(netns.REPOSITORY),
    }
    host.run(*host.python("-c", PUT, path, json.dumps(body)), env=environment)


def test_denied_connection_is_logged_counted_and_captured(bed: Bed) -> None:
    file = bed.b.directory / "drops.pcapng"
    postern_wg(bed.b, "capture", "wg0", str(file), "--what", "dropped")
    bed.a.run("ping", "-n", "-c", "1", "10.7.0.2")
    connect = "import socket; socket.create_connection(('10.7.0.2', 9), 0.3)"
    bed.a.run(*bed.a.python("-c", connect), check_status=False)
    texts = [denial["text"] for denial in bed.ask("denials")["recent"]]
    assert any(text.endswith("-> 10.7.0.2:9: no-rule") and " tcp " in text for text in texts)
    assert bed.status()["drops"]["in_no-rule"] >= 1
    postern_wg(bed.b, "capture", "wg0")
    shown = bed.b.run("tcpdump", "-nr", str(file))
    assert "10.7.0.2.9: Flags [S]" in shown
    assert "ICMP" not in shown


METRICS = "from node.localapi.client import ask; print(ask('wg0', 'GET', '/metrics').decode())"


def test_rules_count_and_metrics_tell(bed: Bed) -> None:
    bed.b.start(*bed.b.python(TRANSFER, "serve", "10.7.0.2", str(KEPT)), log="serve")
    listening(bed.b, KEPT)
    bed.a.run(*bed.a.python(TRANSFER, "send", "10.7.0.2", str(KEPT), "1000000", "3"))
    rule = next(rule for rule in bed.ask("rules") if rule["index"] == 1)
    assert rule["flows"] == 1
    assert rule["policy_line"] == 11
    assert rule["bytes"] > 1_000_000
    environment = os.environ | {
        "POSTERN_RUN_DIR": str(run_directory(bed.b)),
        "PYTHONPATH": str(netns.REPOSITORY),
    }
    text = bed.b.run(*bed.b.python("-c", METRICS), env=environment)
    found = re.search(r'^postern_filter_rule_flows_total{(.*rule="1")} 1.0$', text, re.MULTILINE)
    assert found is not None, text
    assert 'policy_line="11"' in found[1]


def test_unreadable_filter_is_refused_and_the_last_stays(bed: Bed) -> None:
    bed.filter_file.write_text('[{"SrcIPs": ["10.7.0.300"], "DstPorts": []}, 5]')
    with pytest.raises(AssertionError, match="rule 1"):
        postern_wg(bed.b, "filter", "wg0", str(bed.filter_file))
    status = bed.status()
    assert status["filter"]["rules"] == 3
    assert "rule 1" in status["filter"]["refusal"]
    bed.a.run("ping", "-n", "-c", "1", "10.7.0.2")
