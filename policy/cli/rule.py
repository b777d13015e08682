"""`policy rule`: what a diagnostic code means."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from policy.cli.arguments import Parser, add_format
from policy.cli.delivery import write_out
from policy.cli.exit_codes import CLEAN, CannotRunError
from policy.diagnostics.registry import RULES
from policy.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from policy.cli.console import Console
    from policy.diagnostics.registry import Rule

__all__ = ["page", "run"]

_DESCRIPTION = """\
Explain diagnostic codes: what they mean, an example, and how to get rid of the finding."""

_EXAMPLES = """\
examples:
  policy rule POL301
  policy rule undefined-tag
  policy rule --all
  policy rule --all --output-format json"""


class _Options(Namespace):
    code: list[str]
    all: bool
    output_format: str | None
    output_file: str | None
    color: str


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    parser = Parser("policy rule", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("code", nargs="*", metavar="CODE", help="such as POL301 or undefined-tag")
    parser.add_argument("--all", action="store_true", help="list every code")
    add_format(parser, ("full", "json"))
    options = parser.parse(arguments, _Options())
    if bool(options.code) == options.all:
        parser.error("name some codes, or ask for --all")
    rules = list(RULES.values()) if options.all else [_find(name) for name in options.code]
    if options.output_format == "json":
        from policy.report.as_json import dump  # noqa: PLC0415  only for JSON

        text = dump([_to_json(rule) for rule in rules])
    elif options.all:
        text = _table(rules)
    else:
        text = "\n".join(page(rule) for rule in rules)
    if options.output_file:
        write_out(text, options.output_file)
    else:
        console.write(text)
    return CLEAN


def page(rule: Rule) -> str:
    """Return the page of a rule, in Markdown."""
    from pathlib import Path  # noqa: PLC0415  no other subcommand needs it

    import policy.diagnostics  # noqa: PLC0415

    folder = Path(policy.diagnostics.__path__[0], "pages")
    return (folder / f"{rule.code}.md").read_text(encoding="utf-8")


def _find(name: str) -> Rule:
    wanted = name.strip()
    rule = RULES.get(wanted.upper())
    if rule is not None:
        return rule
    names = {rule.name: rule for rule in RULES.values()}
    if wanted.lower() in names:
        return names[wanted.lower()]
    close = nearest(wanted.lower(), names) or nearest(wanted.upper(), RULES)
    hint = f"did you mean `{close}`?" if close else "`policy rule --all` lists them"
    raise CannotRunError(f"there is no code {name}; {hint}")


def _table(rules: Iterable[Rule]) -> str:
    listed = list(rules)
    width = max(len(rule.name) for rule in listed)
    return "".join(
        f"{rule.code}  {rule.severity:<7}  {rule.name:<{width}}  {rule.summary}\n"
        for rule in listed
    )


def _to_json(rule: Rule) -> dict[str, Any]:
    return {**rule._asdict(), "page": page(rule)}
