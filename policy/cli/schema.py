"""`policy schema`: JSON Schemas, for editors that complete and check as one types."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from policy.cli.arguments import Parser
from policy.cli.delivery import write_out
from policy.cli.exit_codes import CLEAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policy.cli.console import Console

__all__ = ["run"]

_DESCRIPTION = """\
Print a JSON Schema (draft 2020-12) of policies, of test suites or of inventories.

For editors: it knows every field and what it means. It cannot say everything: names of fields
match whatever their case, which no schema can express, and whether a tag is defined or a test
holds only `policy check` can tell."""

_EXAMPLES = """\
examples:
  policy schema > policy.schema.json
  policy schema --suite --output-file suite.schema.json
  policy schema --inventory

In Visual Studio Code, for files that are JSON with comments:
  "json.schemas": [{"fileMatch": ["policy.hujson"], "url": "./policy.schema.json"}]"""


class _Options(Namespace):
    kind: str
    output_file: str | None


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    parser = Parser("policy schema", console, _DESCRIPTION, _EXAMPLES)
    kinds = parser.add_mutually_exclusive_group()
    for kind, what in (("suite", "test suites"), ("inventory", "inventories")):
        kinds.add_argument(
            f"--{kind}", dest="kind", action="store_const", const=kind, help=f"of {what}"
        )
    parser.set_defaults(kind="policy")
    parser.add_argument("--output-file", "-o", metavar="FILE", help="write there instead")
    options = parser.parse(arguments, _Options())
    from policy.report.as_json import dump  # noqa: PLC0415
    from policy.schema import schema_of  # noqa: PLC0415

    text = dump(schema_of(options.kind))
    if options.output_file:
        write_out(text, options.output_file)
    else:
        console.write(text)
    return CLEAN
