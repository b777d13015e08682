"""The hooks, the action and the templates for pipelines: they name what exists, and they work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "policies"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
)
TEMPLATES = sorted((ROOT / "docs" / "ci").glob("*.yml"))
GOOD = "01-engineering-and-operations"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "policy.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a directory with one of the examples, its suite and its inventory."""
    for ending in (".hujson", ".test.hujson", ".inventory.json"):
        shutil.copy(EXAMPLES / f"{GOOD}{ending}", tmp_path / f"policy{ending}")
    return tmp_path


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_hook_passes_on_an_example(hook: dict[str, Any], repository: Path) -> None:
    program, *arguments = shlex.split(hook["entry"])
    assert program == "policy"
    assert re.search(hook["files"], "policies/policy.hujson")
    done = run(*arguments, "policy.hujson", cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr


def action(repository: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's own script as a runner would, with `policy` taken from this checkout."""
    step = ACTION["runs"]["steps"][-1]
    given = {name: spec["default"] for name, spec in ACTION["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: given[match[1]], value)
        for name, value in step["env"].items()
    }
    command = f'policy() {{ {shlex.quote(sys.executable)} -m policy.cli "$@"; }}\n{step["run"]}'
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=repository,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(repository / "summary.md"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_action_passes_on_an_example(repository: Path) -> None:
    done = action(repository, inventory="policy.inventory.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in (repository / "summary.md").read_text(encoding="utf-8")


def test_action_expands_patterns_and_keeps_blanks(repository: Path) -> None:
    folder = repository / "of our own" / "deep"
    folder.mkdir(parents=True)
    (repository / "policy.hujson").rename(folder / "policy.hujson")
    done = action(repository, policies="of our own/**/*.hujson\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of our own/deep/policy.hujson" in done.stdout


def test_action_fails_on_a_mistake_and_says_where(repository: Path) -> None:
    policy = repository / "policy.hujson"
    broken = policy.read_text(encoding="utf-8").replace('"tag:staging:*"', '"tag:stage:*"')
    policy.write_text(broken, encoding="utf-8")
    done = action(repository)
    assert done.returncode == 1
    assert "::error file=policy.hujson,line=" in done.stdout
    assert "POL301" in (repository / "summary.md").read_text(encoding="utf-8")


def test_action_fails_on_a_failing_suite(repository: Path) -> None:
    suite = repository / "policy.test.hujson"
    wrong = suite.read_text(encoding="utf-8").replace("tag:production:1-442", "tag:production:443")
    suite.write_text(wrong, encoding="utf-8")
    done = action(repository, inventory="policy.inventory.json")
    assert done.returncode == 1
    assert "POL501" in done.stdout


def test_action_fails_on_another_layout_only_where_it_counts(repository: Path) -> None:
    policy = repository / "policy.hujson"
    policy.write_text(policy.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")
    assert action(repository).returncode == 1
    assert action(repository, fmt="false").returncode == 0


@pytest.mark.parametrize("policies", ["missing.hujson", "none/*.hujson", ""])
def test_action_could_not_run_without_a_policy(repository: Path, policies: str) -> None:
    done = action(repository, policies=policies)
    assert done.returncode == 2
    assert "::error::" in done.stdout


def test_action_takes_inputs_as_data(repository: Path) -> None:
    done = action(repository, policies="$(touch owned).hujson")
    assert done.returncode == 2
    assert not (repository / "owned").exists()


def test_action_needs_no_secret() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "token" not in text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_calls_policy_as_it_is(path: Path, repository: Path) -> None:
    """Every `policy` command in a template runs, with its variables filled in."""
    yaml.safe_load(path.read_text(encoding="utf-8"))
    commands = re.findall(r"\bpolicy (?:check|test|fmt) [^\n|]*", _unfolded(path))
    assert commands or "uses: postern/postern@" in path.read_text(encoding="utf-8")
    for command in commands:
        spelt = command.replace('"$POLICY_FILE"', "policy.hujson")
        spelt = re.sub(r"\$\{POLICY_INVENTORY:.*?\}", "", spelt)
        done = run(*shlex.split(spelt)[1:], cwd=repository)
        assert done.returncode == 0, done.stdout + done.stderr


def _unfolded(path: Path) -> str:
    """Return a template without comments, its folded lines joined."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "# " not in line]
    return re.sub(r"\n +(?=--|\|\|)", " ", "\n".join(lines))
