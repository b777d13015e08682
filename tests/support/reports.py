"""A report with everything in it that a format could get wrong."""

from __future__ import annotations

from policy.diagnostics.diagnostic import Diagnostic, Fix, Related, Severity
from policy.report.model import Case, FileReport, Outcome, Report
from policy.report.trust import Trust
from policy.source import Source, Span

__all__ = ["HOSTILE", "finding", "hostile_report", "plain_report", "span_of"]

_TEXT = """\
// who may reach what
{
\t"groups": {"group:dev": ["ann@corp.test"], "group:dev": ["bo@corp.test"]},
\t"hosts": {"\u65e5\u672c": "10.1.2.3"}, "acls": [{"action": "drop"}],
\t"tests": [
\t\t{
\t\t\t"src": "ann@corp.test",
\t\t\t"accept": ["tag:web:443"],
\t\t},
\t\t{"src": "bo@corp.test", "accept": ["100.64.0.9:22"]},
\t],
}
"""

HOSTILE = "a|b`c<d>&\"e'\x1b[31m]]>\u202e#\\%0A::error::%\udcff\x00 é"
"""Something to escape in every format."""


def span_of(source: Source, text: str, occurrence: int = 0) -> Span:
    """Return where `text` stands."""
    at = -1
    for _ in range(occurrence + 1):
        at = source.text.index(text, at + 1)
    return Span(at, at + len(text))


def finding(
    source: Source,
    code: str,
    message: str,
    span: Span,
    help_text: str | None = None,
    **more: tuple[Related, ...] | Fix | None,
) -> Diagnostic:
    """Return a finding with its code's own severity."""
    from policy.diagnostics.registry import RULES  # noqa: PLC0415  keeps the signature short

    severity = Severity(RULES[code].severity)
    return Diagnostic(code, severity, message, source, span, help_text, **more)  # type: ignore[arg-type]


def plain_report() -> Report:
    """Return errors with help, fix and related places, a warning, and a case of each outcome."""
    source = Source("net/policy.hujson", _TEXT)
    first, again = span_of(source, '"group:dev"'), span_of(source, '"group:dev"', 1)
    action = span_of(source, "drop")
    diagnostics = (
        finding(
            source,
            "POL105",
            'duplicate name "group:dev"',
            again,
            related=(Related("first given here", first),),
        ),
        finding(
            source,
            "POL210",
            'action="drop" is not supported',
            action,
            "the only action is `accept`",
            fix=Fix(action, "accept", "write `accept`"),
        ),
        finding(
            source,
            "POL310",
            'user not in the inventory: "bo@corp.test"',
            span_of(source, "bo@corp.test"),
        ),
        finding(
            source, "POL303", 'host not found: "\u65e5\u672c"', span_of(source, "\u65e5\u672c")
        ),
    )
    start = source.text.index("\t\t{\n") + 2
    failed = Span(start, source.text.index("},\n\t\t{") + 1)
    undecided = span_of(source, '{"src": "bo@corp.test", "accept": ["100.64.0.9:22"]}')
    cases = (
        Case(source, failed, "test", "tests[0] ann@corp.test", Outcome.PASSED, ()),
        Case(
            source,
            failed,
            "test",
            "engineers reach the web",
            Outcome.FAILED,
            (
                finding(
                    source,
                    "POL501",
                    "test(s) failed",
                    failed,
                    "tag:web:443: want accept, got deny\nno rule comes near",
                ),
            ),
        ),
        Case(
            source,
            undecided,
            "test",
            "tests[1] bo@corp.test",
            Outcome.UNDECIDED,
            (
                finding(
                    source,
                    "POL505",
                    "undecided without an inventory: 100.64.0.9:22",
                    span_of(source, "100.64.0.9:22"),
                    "whose address it is, an inventory knows",
                ),
            ),
        ),
    )
    trust = Trust(users=2, domains=1, roles=0, tests=1)
    valid = FileReport(Source("valid.hujson", "{}\n"), ())
    return Report("check", (FileReport(source, diagnostics, cases, trust), valid))


def hostile_report() -> Report:
    """Return text that every format has to escape, wherever it can come from."""
    source = Source(f"{HOSTILE},x:y.hujson", f'{{"{HOSTILE}": 1}}')
    span = Span(1, len(HOSTILE) + 3)
    found = finding(
        source, "POL202", f"{HOSTILE}\n{HOSTILE}", span, HOSTILE, related=(Related(HOSTILE, span),)
    )
    failing = finding(source, "POL501", "test(s) failed", span, f"{HOSTILE}\n::error::x")
    cases = (
        Case(source, span, "test", HOSTILE, Outcome.FAILED, (failing,)),
        Case(source, span, "test", f"{HOSTILE}\nok 7 - x", Outcome.UNDECIDED, (failing,)),
    )
    return Report("test", (FileReport(source, (found,), cases),), verbose=True)
