"""`postern control ...` and `postern policy ...`: the operators' command line.

Everything but `serve`, `init`, `configtest` and `generate` asks a running server over its REST
API: on the Unix socket, or at an address with an API key.
"""

from __future__ import annotations

import sys

from control.cli.client import ApiClient, ApiRefusedError, ApiUnreachableError
from control.cli.commands import add_control_commands
from control.cli.output import Output, print_error
from control.cli.parsing import Parser
from control.cli.policy_commands import add_policy_commands
from control.errors import ControlError
from control.policies.in_force import PolicyRefusedError

__all__ = ["main", "policy_main"]


def main(arguments: list[str] | None = None) -> int:
    """Run `postern control ...`; returns its exit status, 1 for any trouble."""
    parser = Parser("postern control", "Run and administer a coordination server.")
    add_control_commands(parser)
    return _run(parser, arguments)


def policy_main(arguments: list[str] | None = None) -> int:
    """Run `postern policy ...`; returns its exit status, 1 for any trouble.

    `diff` is like diff(1): 0 for the same, 1 for a difference, 2 for trouble.
    """
    parser = Parser("postern policy", "Look at and change the policy in force.")
    add_policy_commands(parser)
    return _run(parser, arguments)


def _run(parser: Parser, arguments: list[str] | None) -> int:
    options = parser.parse(sys.argv[1:] if arguments is None else arguments)
    output = Output(options.output)
    trouble = int(getattr(options, "trouble", 1))
    try:
        with ApiClient.of_options(options) as client:
            status = options.run(options, client, output)
    except ApiRefusedError as error:
        print_error(output, error.detail, error.problems)
        return trouble
    except PolicyRefusedError as error:
        print_error(output, str(error), error.problems)
        return trouble
    except (ApiUnreachableError, ControlError, OSError) as error:
        print_error(output, str(error), ())
        return trouble
    return int(status or 0)
