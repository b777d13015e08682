"""`policy fmt`: the standard form, as the service's own formatter lays policies out."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any, NamedTuple

from policy.cli.arguments import EXIT_CODES, Parser, add_format, add_stdin_name
from policy.cli.delivery import write_out
from policy.cli.exit_codes import CANNOT_RUN, CLEAN, FINDINGS, CannotRunError
from policy.cli.reading import STDIN, read_source, refuse_stdin_twice
from policy.diagnostics.diagnostic import Collector, Diagnostic
from policy.hujson.format import FormatError, format_source
from policy.hujson.parse import ProblemKind, parse
from policy.load import report_syntax
from policy.report.style import PLAIN
from policy.report.text import counted, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policy.cli.console import Console
    from policy.report.style import Style
    from policy.source import Source

__all__ = ["run"]

_DESCRIPTION = """\
Lay out policies and test suites in the standard form, in place.

Every comment is kept. The result is parsed and compared with what was there before anything is
written: a file is replaced whole, or not at all. Files with syntax errors are left alone."""

_EXAMPLES = f"""\
examples:
  policy fmt policy.hujson
  policy fmt --check policies/*.hujson
  policy fmt --diff policy.hujson
  policy fmt - < policy.hujson

{EXIT_CODES}"""


class _Options(Namespace):
    policy: list[str]
    check: bool
    diff: bool
    output_format: str | None
    output_file: str | None
    color: str
    stdin_filename: str


class _Formatted(NamedTuple):
    """What formatting a file came to."""

    path: str
    source: Source
    text: str | None
    """The standard form; None where the file cannot be parsed."""
    diagnostics: tuple[Diagnostic, ...]

    @property
    def is_changed(self) -> bool:
        return self.text is not None and self.text != self.source.text


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    options = _parse(arguments, console)
    refuse_stdin_twice(options.policy)
    files: list[_Formatted] = []
    all_done = True
    for path in options.policy:
        try:
            source = read_source(path, console, options.stdin_filename)
            file = _format(path, source)
            if file.is_changed and path != STDIN and not (options.check or options.diff):
                _replace(path, file.text or "")
        except CannotRunError as error:
            console.complain(str(error))
            all_done = False
            continue
        files.append(file)
    _tell(files, options, console)
    if not all_done:
        return CANNOT_RUN
    would_change = (options.check or options.diff) and any(file.is_changed for file in files)
    return FINDINGS if would_change or any(file.text is None for file in files) else CLEAN


def _parse(arguments: Sequence[str], console: Console) -> _Options:
    parser = Parser("policy fmt", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("policy", nargs="+", metavar="FILE", help="a file; `-` for stdin to stdout")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file would change"
    )
    parser.add_argument(
        "--diff", action="store_true", help="as --check, and show what would change"
    )
    add_format(parser, ("full", "concise", "json"))
    add_stdin_name(parser)
    return parser.parse(arguments, _Options())


def _format(path: str, source: Source) -> _Formatted:
    parsed = parse(source)
    # A name given twice is no matter of layout: both members stay.
    if any(problem.kind is not ProblemKind.DUPLICATE_NAME for problem in parsed.problems):
        found = Collector(source)
        report_syntax(parsed, found)
        return _Formatted(path, source, None, tuple(found))
    try:
        return _Formatted(path, source, format_source(source), ())
    except FormatError as error:
        # Most of what the formatter says starts with the name already.
        said = str(error).removeprefix(f"{source.name}: ")
        raise CannotRunError(f"{source.name}: {said}") from error


def _replace(path: str, text: str) -> None:
    """Put `text` in the place of a file in one step; its mode stays. Raises CannotRunError."""
    import tempfile  # noqa: PLC0415  only where something is written

    target = os.path.realpath(path)  # a link stays a link
    try:
        mode = os.stat(target).st_mode & 0o7777  # noqa: PTH116
        descriptor, temporary = tempfile.mkstemp(
            prefix=".",
            suffix=".tmp",
            dir=os.path.dirname(target),  # noqa: PTH120
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)  # noqa: PTH105
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108
            raise
    except OSError as error:
        raise CannotRunError(f"{path}: not written: {error.strerror}") from error


def _tell(files: list[_Formatted], options: _Options, console: Console) -> None:
    style = PLAIN if options.output_file else console.style(options.color)
    if options.output_format == "json":
        text = _as_json(files)
    else:
        text = "".join(_as_text(files, options, console, style))
    if options.output_file:
        write_out(text, options.output_file)
    else:
        console.write(text)


def _as_text(
    files: list[_Formatted], options: _Options, console: Console, style: Style
) -> Iterator[str]:
    for file in files:
        if file.text is None:
            console.stderr.write(
                _findings(file, options, console.style(options.color, console.stderr))
            )
        elif options.diff:
            yield _diff(file, style)
        elif options.check:
            if file.is_changed:
                yield f"would reformat {one_line(file.source.name)}\n"
        elif file.path == STDIN:
            yield file.text
        elif file.is_changed:
            yield f"reformatted {one_line(file.source.name)}\n"
    if (options.check or options.diff) and not options.output_file:
        changed = sum(file.is_changed for file in files)
        if changed:
            console.complain(f"{counted(changed, 'file')} would be reformatted")


def _findings(file: _Formatted, options: _Options, style: Style) -> str:
    if options.output_format == "concise":
        from policy.report.concise import concise_line  # noqa: PLC0415  only for bad files

        return "".join(concise_line(found, style) + "\n" for found in file.diagnostics)
    from policy.report.full import render_findings  # noqa: PLC0415  only for bad files

    return render_findings(file.diagnostics, style)


def _diff(file: _Formatted, style: Style) -> str:
    if not file.is_changed:
        return ""
    import difflib  # noqa: PLC0415  only for --diff

    name = one_line(file.source.name).lstrip("/")
    lines = difflib.unified_diff(
        _lines(file.source.text),
        _lines(file.text or ""),
        f"a/{name}",
        f"b/{name}",
    )
    return "".join(_diff_line(line, style) for line in lines)


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, which is what ends a line of a policy."""
    *lines, last = text.split("\n")
    return [line + "\n" for line in lines] + ([last] if last else [])


def _diff_line(line: str, style: Style) -> str:
    body = line.removesuffix("\n")
    shown = visible(body) if style.is_coloured else body
    if line.startswith("+"):
        shown = style.added(shown)
    elif line.startswith("-"):
        shown = style.removed(shown)
    end = "\n" if line.endswith("\n") else "\n\\ No newline at end of file\n"
    return shown + end


def _as_json(files: list[_Formatted]) -> str:
    from policy.report.as_json import (  # noqa: PLC0415  only for JSON
        clean,
        dump,
        finding_to_json,
    )

    told: dict[str, Any] = {
        "diagnostics": [finding_to_json(found) for f in files for found in f.diagnostics],
        "files": [{"file": clean(file.source.name), "changed": file.is_changed} for file in files],
    }
    return dump(told)
