"""Policy tests as pytest items, beside any other tests.

    pytest --policy policy.hujson --policy-inventory inventory.json
    pytest                     # collects *.test.hujson, and what `policy_files` names

Each test of a policy or suite is an item; so is the policy's text. A test whose answer depends on
an inventory is skipped where there is none, or fails with `--policy-strict`. The inventory is the
one given, else `x.inventory.json` beside `x.hujson`.

pytest loads this module in every run of everybody who has the product installed: it imports
nothing but pytest until there is a policy to collect.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from engine.directory import Directory
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.model.cases import SshTestCase, TestCase
    from policy.model.document import Policy
    from policy.report.model import Case
    from policy.source import Source

__all__ = ["PolicyFile", "PolicyItem", "SuiteFile"]

# ruff: noqa: PLC0415  every import of ours waits until there is a policy; see above

_SUITE_SUFFIX = ".test.hujson"
_INVENTORY_SUFFIX = ".inventory.json"
_POLICY_SUFFIXES = (".hujson", ".json")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings."""
    group = parser.getgroup("policy", "policies of a private mesh network")
    group.addoption(
        "--policy",
        action="append",
        default=[],
        metavar="FILE",
        help="run the tests of this policy and of the suite beside it; a pattern, may be repeated."
        " Like a path, it replaces the default test paths",
    )
    group.addoption(
        "--policy-inventory",
        metavar="FILE",
        help="users and devices as JSON, for tests whose answer depends on them"
        f" (default: NAME{_INVENTORY_SUFFIX} beside the policy)",
    )
    group.addoption(
        "--policy-strict",
        action="store_true",
        help="fail tests that are undecided without an inventory, instead of skipping them",
    )
    parser.addini("policy_files", "patterns of policies to collect", type="args", default=[])
    parser.addini(
        "policy_suites",
        "patterns of test suites to collect; the policy of x.test.hujson is x.hujson beside it",
        type="args",
        default=[f"*{_SUITE_SUFFIX}"],
    )
    parser.addini("policy_inventory", "inventory for all policies", type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest collect what `--policy` names."""
    patterns: list[str] = config.getoption("--policy")
    if not patterns:
        return
    named = _expand(patterns, config.invocation_params.dir)
    suites = [suite for policy in named for suite in [_suite_of(policy)] if suite.is_file()]
    arguments = [str(path) for path in (*named, *suites)]
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        arguments = [*config.args, *arguments]
    config.args = list(dict.fromkeys(arguments))
    config.stash[_NAMED] = named


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect policies that were named or match, and suites that match."""
    config = parent.config
    suites: list[str] = config.getini("policy_suites")
    policies: list[str] = config.getini("policy_files")
    if _matches(file_path, suites, config):
        return SuiteFile.from_parent(parent, path=file_path)
    if file_path in config.stash.get(_NAMED, ()) or _matches(file_path, policies, config):
        return PolicyFile.from_parent(parent, path=file_path)
    return None


class _PolicyTestError(Exception):
    """What is wrong, in words that need no traceback."""


class PolicyFile(pytest.File):
    """A policy: its text is one item, each of its own tests another."""

    def collect(self) -> Iterable[pytest.Item]:
        """Read the policy. Raises CollectError where the file cannot be read."""
        directory = _directory(self.path, self.config)
        source = _read(self.path, self.config)
        policy, findings = _load(source, directory)
        yield TextItem.from_parent(self, name="valid", findings=findings)
        if policy is not None:
            yield from _case_items(self, policy, directory, policy.tests, policy.ssh_tests)


class SuiteFile(pytest.File):
    """A suite: its tests run against the policy beside it, or the only one that was named."""

    def collect(self) -> Iterable[pytest.Item]:
        """Read the suite. Raises CollectError where it or its policy cannot be read."""
        from policy.suite import load_suite

        suite = load_suite(_read(self.path, self.config))
        if any(found.severity.value == "error" for found in suite.diagnostics):
            yield TextItem.from_parent(self, name="valid", findings=suite.diagnostics)
            return
        path = self._policy_path()
        directory = _directory(path, self.config)
        policy, findings = _load(_read(path, self.config), directory)
        if policy is None:
            yield TextItem.from_parent(self, name="policy is valid", findings=findings)
            return
        yield from _case_items(self, policy, directory, suite.tests, suite.ssh_tests)

    def _policy_path(self) -> Path:
        stem = self.path.name.removesuffix(_SUITE_SUFFIX)
        for suffix in _POLICY_SUFFIXES:
            beside = self.path.with_name(stem + suffix)
            if beside.is_file():
                return beside
        named = self.config.stash.get(_NAMED, ())
        if len(named) == 1:
            return named[0]
        raise self.CollectError(
            f"{self.path.name}: there is no {stem}{_POLICY_SUFFIXES[0]} beside it;"
            " name its policy with --policy"
        )


class PolicyItem(pytest.Item):
    """What can fail about a policy."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """Show what is wrong with the policy, and a traceback only for what is wrong with us."""
        if isinstance(excinfo.value, _PolicyTestError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args)


class TextItem(PolicyItem):
    """The text of a policy or a suite."""

    def __init__(self, *, findings: Sequence[Diagnostic], **rest: Any) -> None:
        super().__init__(**rest)
        self._findings = findings

    def runtest(self) -> None:
        """Fail where there is an error."""
        errors = [found for found in self._findings if found.severity.value == "error"]
        if errors:
            raise _PolicyTestError(_tell(errors))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Point at the file."""
        return self.path, None, f"{self.path.name}: {self.name}"


class CaseItem(PolicyItem):
    """One test of a policy or a suite."""

    def __init__(self, *, run: _Run, place: int, line: int, **rest: Any) -> None:
        super().__init__(**rest)
        self._run = run
        self._place = place
        self._line = line

    def runtest(self) -> None:
        """Evaluate the test."""
        case = self._run.outcomes[self._place]
        match case.outcome.value:
            case "failed":
                raise _PolicyTestError(_tell(case.diagnostics))
            case "undecided" if self.config.getoption("--policy-strict"):
                raise _PolicyTestError(_tell(case.diagnostics))
            case "undecided":
                pytest.skip(f"undecided: {case.reason}")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Point at the test's place in the file."""
        return self.path, self._line - 1, f"{self.path.name}: {self.name}"


class _Run:
    """The tests of one file, evaluated together when the first of them is wanted."""

    def __init__(
        self,
        policy: Policy,
        directory: Directory | None,
        tests: Sequence[TestCase],
        ssh_tests: Sequence[SshTestCase],
    ) -> None:
        self._arguments = (policy, directory, tests, ssh_tests)
        self._outcomes: tuple[Case, ...] | None = None

    @property
    def outcomes(self) -> tuple[Case, ...]:
        if self._outcomes is None:
            from policy.cli.examination import run_cases

            self._outcomes = run_cases(*self._arguments)
        return self._outcomes


_NAMED = pytest.StashKey["list[Path]"]()
_DIRECTORIES = pytest.StashKey["dict[Path, Directory]"]()


def _case_items(
    parent: pytest.Collector,
    policy: Policy,
    directory: Directory | None,
    tests: Sequence[TestCase],
    ssh_tests: Sequence[SshTestCase],
) -> Iterable[pytest.Item]:
    run = _Run(policy, directory, tests, ssh_tests)
    sections = [("tests", case) for case in tests] + [("sshTests", case) for case in ssh_tests]
    for place, (section, case) in enumerate(sections):
        about = case.name or ", ".join(term.text for term in case.src)
        yield CaseItem.from_parent(
            parent,
            name=f"{section}[{case.position}] {about}".rstrip(),
            run=run,
            place=place,
            line=case.source.position(case.span.start).line,
        )


def _load(
    source: Source, directory: Directory | None
) -> tuple[Policy | None, tuple[Diagnostic, ...]]:
    from policy.load import load

    loaded = load(source, domains=None if directory is None else directory.domains)
    return loaded.policy, loaded.diagnostics


def _directory(policy: Path, config: pytest.Config) -> Directory | None:
    """Read a policy's inventory, each file once; None where there is none."""
    option: str | None = config.getoption("--policy-inventory")
    setting: str = config.getini("policy_inventory")
    if option:
        path = config.invocation_params.dir / option
    elif setting:
        path = config.rootpath / setting
    else:
        path = policy.with_name(policy.stem + _INVENTORY_SUFFIX)
        if not path.is_file():
            return None
    read = config.stash.setdefault(_DIRECTORIES, {})
    if path not in read:
        read[path] = _read_directory(path)
    return read[path]


def _read_directory(path: Path) -> Directory:
    from engine.inventory import InventoryError, read_inventory

    try:
        return read_inventory(path.read_bytes())
    except OSError as error:
        raise pytest.Collector.CollectError(f"inventory {path}: {error.strerror}") from error
    except InventoryError as error:
        raise pytest.Collector.CollectError(f"inventory {path}: {error}") from error


def _read(path: Path, config: pytest.Config) -> Source:
    from policy.source import MAX_BYTES, Source

    base = config.invocation_params.dir
    name = str(path.relative_to(base) if path.is_relative_to(base) else path)
    try:
        with path.open("rb") as file:
            return Source.from_bytes(name, file.read(MAX_BYTES + 1))
    except OSError as error:
        raise pytest.Collector.CollectError(f"{name}: {error.strerror}") from error


def _expand(patterns: Iterable[str], base: Path) -> list[Path]:
    from glob import glob

    found: list[Path] = []
    for pattern in patterns:
        # Not `Path.glob`: a pattern may be absolute.
        matching = sorted(
            base / name
            for name in glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207  see above
        )
        if not matching:
            raise pytest.UsageError(f"--policy: there is no file {pattern}")
        found.extend(path for path in matching if not path.name.endswith(_SUITE_SUFFIX))
    return list(dict.fromkeys(found))


def _suite_of(policy: Path) -> Path:
    return policy.with_name(policy.stem + _SUITE_SUFFIX)


def _matches(path: Path, patterns: Iterable[str], config: pytest.Config) -> bool:
    """Match the name, or where a pattern has folders the path below the root."""
    within = path.is_relative_to(config.rootpath)
    below = path.relative_to(config.rootpath).as_posix() if within else path.as_posix()
    return any(fnmatch(below if "/" in pattern else path.name, pattern) for pattern in patterns)


def _tell(findings: Iterable[Diagnostic]) -> str:
    from policy.report.full import render_findings
    from policy.report.style import PLAIN

    return render_findings(findings, PLAIN).rstrip("\n")
