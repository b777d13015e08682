"""Runs test cases: a policy's own as the service does, those of suites more strictly.

In a policy's own tests `accept` holds when every source address reaches at least one address of
the destination, and `deny` when that is not so (policy reference 8.1). In a suite `accept` means
all and `deny` means none: every source reaches every destination on every port, or no source
reaches any destination on any port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.compile.network import CompiledNetwork
from engine.testing.access import AccessOracle
from engine.testing.imagined import imagine
from engine.testing.judge import CaseJudge
from engine.testing.report import CaseResult, TestReport
from engine.testing.ssh import SshOracle
from engine.testing.sshjudge import SshJudge
from engine.testing.symbolic import SymbolicOracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.directory import Directory
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
    results: list[CaseResult] = []
    network = None if directory is None else CompiledNetwork(policy, directory)
    if tests:
        oracle = SymbolicOracle(policy) if directory is None else AccessOracle(policy, directory)
        judge = CaseJudge(policy, oracle, network)
        results.extend(judge.judge(case) for case in tests)
    if ssh_tests:
        known = network or CompiledNetwork(policy, imagine(policy, ssh_tests))
        ssh_judge = SshJudge(policy, SshOracle(known), imagined=network is None)
        results.extend(ssh_judge.judge(case) for case in ssh_tests)
    return TestReport(tuple(results))
