"""The subcommands by name. A run imports the module of one of them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "Command"]


class Command(NamedTuple):
    """A subcommand: where it lives, and what it is for in one line."""

    module: str
    summary: str


COMMANDS = {
    "check": Command("policy.cli.check", "find every mistake in policies and run their own tests"),
    "test": Command("policy.cli.test", "run the tests of a policy and of suites beside it"),
    "fmt": Command("policy.cli.fmt", "lay policies out in the standard form, comments kept"),
    "compile": Command("policy.cli.compile", "print what every node of a tailnet would be told"),
    "explain": Command(
        "policy.cli.explain", "say which rules allow a connection, or what denies it"
    ),
    "diff": Command("policy.cli.diff", "say what access a change of policy gives and takes"),
    "schema": Command("policy.cli.schema", "print the JSON Schema of policies for editors"),
    "rule": Command("policy.cli.rule", "explain a diagnostic code"),
}
