"""Plan and run of a netcheck against imagined relays."""

from __future__ import annotations

from collections import defaultdict

from control.wire import DerpMap, DerpNode, DerpRegion
from node.paths.netcheck.plan import Probe, incremental_plan, initial_plan
from node.paths.netcheck.report import Report
from node.paths.netcheck.run import Ask, FallbackWanted, Finished, NetcheckRun
from node.paths.netcheck.text import hard_nat_hint, render
from node.transport.endpoint import Endpoint
from relay.stun import Binding, encode_response, parse_request
from tests.support.relay_pair import SeededEntropy


def node(region: int, letter: str = "a", *, stun_port: int = 0, ipv6: str = "") -> DerpNode:
    return DerpNode(
        name=f"{region}{letter}",
        region_id=region,
        host_name=f"relay{region}{letter}.example",
        stun_port=stun_port,
        ipv6=ipv6,
    )


def region(number: int, *nodes: DerpNode, hidden: bool = False) -> DerpRegion:
    return DerpRegion(
        region_id=number,
        region_code=f"r{number}",
        region_name=f"Region {number}",
        no_measure_no_home=hidden,
        nodes=nodes or (node(number),),
    )


def derp_map(count: int = 3) -> DerpMap:
    return DerpMap(regions={n: region(n) for n in range(1, count + 1)})


class World:
    """Relays at given distances, a NAT with given mappings, and a clock."""

    def __init__(self, latency_s: dict[int, float], mapping: dict[str, str] | None = None) -> None:
        self.latency_s = latency_s
        self.mapping = mapping or {}
        self.now = 10.0
        self.has_ipv6_names = True
        self.asked: list[Probe] = []
        self.fallback: tuple[int, ...] | None = None

    def run(self, plan: list[Probe], *, is_full: bool = True) -> Report:
        report = Report(self.now)
        run = NetcheckRun(plan, report, SeededEntropy(), is_full=is_full, now=self.now)
        answers: list[tuple[float, bytes]] = []
        while not run.is_finished:
            due = run.deadline()
            assert due is not None
            answers.sort()
            if answers and answers[0][0] <= due:
                self.now, datagram = answers.pop(0)
                run.receive(datagram, self.now)
            else:
                self.now = max(self.now, due)
                run.on_deadline(self.now)
            while (event := run.next_event()) is not None:
                match event:
                    case Ask(probe, datagram) as asked:
                        self.asked.append(probe)
                        if probe.is_ipv6 and not self.has_ipv6_names:
                            run.not_sent(asked, self.now)
                        else:
                            answers += self.answer(probe, datagram)
                    case FallbackWanted(regions):
                        self.fallback = regions
                    case Finished():
                        pass
        return report

    def answer(self, probe: Probe, datagram: bytes) -> list[tuple[float, bytes]]:
        latency = self.latency_s.get(probe.region)
        if latency is None or probe.is_ipv6:
            return []
        seen = Endpoint.parse(self.mapping.get(probe.node_name, "203.0.113.5:41641"))
        reply = encode_response(Binding(parse_request(datagram), seen.ip, seen.port))
        return [(self.now + latency, reply)]


def test_first_plan_asks_everybody_three_times_a_family() -> None:
    plan = initial_plan(derp_map(2), ipv6=True)
    tries = defaultdict(list)
    for probe in plan:
        tries[probe.region, probe.is_ipv6].append(probe.delay_s)
    assert dict(tries) == {(n, six): [0.0, 0.1, 0.2] for n in (1, 2) for six in (False, True)}


def test_regions_that_must_not_be_measured_are_left_alone() -> None:
    regions = {
        1: region(1, hidden=True),
        2: region(2, node(2, stun_port=-1)),
        3: region(3, node(3, ipv6="none")),
    }
    plan = initial_plan(DerpMap(regions=regions), ipv6=True)
    assert {(probe.region, probe.is_ipv6) for probe in plan} == {(3, False)}


def test_later_plan_asks_the_nearest_three_and_home() -> None:
    last = Report(0, latency_ns={n: n * 10_000_000 for n in range(1, 8)}, has_ipv4=True)
    plan = incremental_plan(derp_map(8), last, home=6, ipv6=False)
    tries: dict[int, int] = defaultdict(int)
    for probe in plan:
        tries[probe.region] += 1
    assert tries == {1: 2, 2: 2, 3: 1, 6: 4}


def test_report_has_latencies_and_our_address() -> None:
    world = World({1: 0.01, 2: 0.03, 3: 0.02})
    report = world.run(initial_plan(derp_map(), ipv6=False))
    assert {n: round(ns / 1e6) for n, ns in report.latency_ns.items()} == {1: 10, 2: 30, 3: 20}
    assert str(report.global4) == "203.0.113.5:41641"
    assert report.mapping_varies is False


def test_relays_without_an_ipv6_address_are_not_waited_for() -> None:
    world = World({1: 0.01, 2: 0.03, 3: 0.02})
    began, world.has_ipv6_names = world.now, False
    report = world.run(initial_plan(derp_map(), ipv6=True))
    assert set(report.latency_ns) == {1, 2, 3}
    assert world.now - began < 0.5


def test_nothing_that_can_be_asked_by_udp_leads_to_the_fallback() -> None:
    world = World({})
    world.has_ipv6_names = False
    world.run([probe for probe in initial_plan(derp_map(), ipv6=True) if probe.is_ipv6])
    assert world.fallback == (1, 2, 3)


def test_time_of_a_look_up_is_not_taken_for_latency() -> None:
    report = Report(0.0)
    plan = initial_plan(derp_map(1), ipv6=False)
    run = NetcheckRun(plan, report, SeededEntropy(), is_full=True, now=0.0)
    run.on_deadline(0.0)
    question = run.next_event()
    assert isinstance(question, Ask)
    run.sent(question, 2.0)
    seen = Endpoint.parse("203.0.113.5:41641")
    reply = encode_response(Binding(parse_request(question.datagram), seen.ip, seen.port))
    run.receive(reply, 2.5)
    assert report.latency_ns == {1: 500_000_000}


def test_mapping_that_differs_by_server_is_noticed() -> None:
    world = World({1: 0.01, 2: 0.02}, {"2a": "203.0.113.5:9999"})
    report = world.run(initial_plan(derp_map(2), ipv6=False))
    assert report.mapping_varies is True
    assert "static" in hard_nat_hint(report)
    assert str(report.global4) == "203.0.113.5:41641"


def test_questions_stop_when_answers_add_nothing() -> None:
    world = World({1: 0.01, 2: 0.02, 3: 0.02})
    world.run(initial_plan(derp_map(), ipv6=False))
    assert len(world.asked) == 3


def test_far_regions_are_not_waited_for_once_three_answered() -> None:
    world = World({1: 0.01, 2: 0.02, 3: 0.03, 4: 2.5})
    start = world.now
    report = world.run(initial_plan(derp_map(4), ipv6=False))
    assert world.now - start < 0.2
    assert 4 not in report.latency_ns


def test_blocked_udp_asks_for_https_and_ends_in_time() -> None:
    world = World({})
    start = world.now
    report = world.run(initial_plan(derp_map(2), ipv6=False))
    assert world.fallback == (1, 2)
    assert not report.has_udp
    assert world.now - start <= 5.0


def test_stray_answer_is_not_ours() -> None:
    run = NetcheckRun([], Report(0), SeededEntropy(), is_full=True, now=0)
    stray = encode_response(Binding(b"x" * 12, Endpoint.parse("192.0.2.1:1").ip, 1))
    assert not run.receive(stray, 0)
    assert not run.receive(b"noise", 0)


def test_text_for_people() -> None:
    world = World({1: 0.0095, 3: 0.02})
    report = world.run(initial_plan(derp_map(), ipv6=False))
    report.preferred_region = 1
    text = render(report, derp_map(), "2026-01-02 15:04:05Z")
    assert text.splitlines() == [
        "",
        "Report:",
        "\t* Time: 2026-01-02 15:04:05Z",
        "\t* UDP: true",
        "\t* IPv4: yes, 203.0.113.5:41641",
        "\t* IPv6: no, unavailable in OS",
        "\t* MappingVariesByDestIP: false",
        "\t* PortMapping: not checked",
        "\t* Nearest DERP: Region 1",
        "\t* DERP latency:",
        "\t\t-  r1: 9.5ms   (Region 1)",
        "\t\t-  r3: 20ms    (Region 3)",
        "\t\t-  r2:         (Region 2)",
    ]


def test_json_has_the_names_of_the_field() -> None:
    fields = World({1: 0.01}).run(initial_plan(derp_map(1), ipv6=False)).to_json()
    assert fields["UDP"] is True
    assert fields["MappingVariesByDestIP"] == ""
    assert list(fields["RegionLatency"]) == ["1"]
    assert fields["GlobalV4"] == "203.0.113.5:41641"
