"""Runs test cases: a policy's own as the service does, those of suites more strictly.

In a policy's own tests `accept` holds when every source address reaches at least one address of
the destination, and `deny` when that is not so (policy reference 8.1). In a suite `accept` means
all and `deny` means none: every source reaches every destination on every port, or no source
reaches any destination on any port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.testing.judge import CaseJudge
from engine.testing.report import TestReport
from engine.testing.symbolic import SymbolicOracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.compile.network import CompiledNetwork
    from engine.directory import Directory
    from engine.testing.report import CaseResult
    from engine.testing.sshjudge import SshJudge
    from policy.model.cases import SshTestCase, TestCase
    from policy.model.document import Policy

__all__ = ["run_tests"]


def run_tests(
    policy: Policy,
    directory: Directory | None,
    tests: Sequence[TestCase],
    ssh_tests: Sequence[SshTestCase],
) -> TestReport:
    """Evaluate cases against a policy that loaded without errors.

    Without a directory only what holds on every tailnet is decided (`engine.testing.symbolic`).
    """
    network = None if directory is None else _network(policy, directory)
    results: list[CaseResult] = []
    if tests:
        judge = _judge(policy, network)
        results.extend(judge.judge(case) for case in tests)
    if ssh_tests:
        ssh_judge = _ssh_judge(policy, network, ssh_tests)
        results.extend(ssh_judge.judge(case) for case in ssh_tests)
    return TestReport(tuple(results))


# What compiles is imported where it is needed: without an inventory most cases are decided from
# the policy alone, and a short command should not wait for the rest.


def _network(policy: Policy, directory: Directory) -> CompiledNetwork:
    from engine.compile.network import CompiledNetwork  # noqa: PLC0415

    return CompiledNetwork(policy, directory)


def _judge(policy: Policy, network: CompiledNetwork | None) -> CaseJudge:
    if network is None:
        return CaseJudge(policy, SymbolicOracle(policy), None)
    from engine.testing.access import AccessOracle  # noqa: PLC0415
    from engine.testing.carriers import Carriers  # noqa: PLC0415

    return CaseJudge(policy, AccessOracle(policy, network.directory), Carriers(network))


def _ssh_judge(
    policy: Policy, network: CompiledNetwork | None, cases: Sequence[SshTestCase]
) -> SshJudge:
    from engine.testing.imagined import imagine  # noqa: PLC0415
    from engine.testing.ssh import SshOracle  # noqa: PLC0415
    from engine.testing.sshjudge import SshJudge  # noqa: PLC0415

    known = network or _network(policy, imagine(policy, cases))
    return SshJudge(policy, SshOracle(known), imagined=network is None)
