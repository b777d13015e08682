"""One finding about policy text, and the collector that keeps findings in the service's order."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from policy.diagnostics.registry import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.source import Position, Source, Span

__all__ = ["Collector", "Diagnostic", "Fix", "Related", "Severity"]


class Severity(Enum):
    """How much a finding matters: an error is what the service refuses."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Fix(NamedTuple):
    """A replacement of source text that resolves the finding."""

    span: Span
    text: str
    title: str
    """What applying it does, in the imperative."""


class Related(NamedTuple):
    """Another place that a finding speaks of."""

    message: str
    span: Span


class Diagnostic(NamedTuple):
    """A finding. Immutable; equal findings compare equal."""

    code: str
    """Stable, `POL` and three digits; see `policy.diagnostics.registry`."""
    severity: Severity
    message: str
    """What is wrong. The service's own words where it has any for this."""
    source: Source
    span: Span
    help: str | None = None
    """What to do next, or what the message leaves out."""
    related: tuple[Related, ...] = ()
    fix: Fix | None = None

    @property
    def name(self) -> str:
        """The code's readable name, such as `undefined-tag`."""
        return RULES[self.code].name

    @property
    def position(self) -> Position:
        """Where the finding starts."""
        return self.source.position(self.span.start)

    @property
    def end_position(self) -> Position:
        """Where the finding ends, exclusive."""
        return self.source.position(self.span.end)


class Collector:
    """Gathers the findings of one source in the order in which the service checks.

    The service decodes the whole document before it looks at the meaning of any part (policy
    reference 2.6), so findings about shape come before findings about meaning whatever the order
    in which they were found.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._shape: list[Diagnostic] = []
        self._meaning: list[Diagnostic] = []

    def __iter__(self) -> Iterator[Diagnostic]:
        yield from self._shape
        yield from self._meaning

    def __len__(self) -> int:
        return len(self._shape) + len(self._meaning)

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far would be refused."""
        return any(found.severity is Severity.ERROR for found in self)

    def shape(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str | None = None,  # noqa: A002  the field's name in every output format
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Add a finding about types and fields: what fails while the document is decoded."""
        self._shape.append(self._found(code, message, span, help, related, fix))

    def meaning(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str | None = None,  # noqa: A002  the field's name in every output format
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Add a finding about what a decoded value means."""
        self._meaning.append(self._found(code, message, span, help, related, fix))

    def _found(
        self,
        code: str,
        message: str,
        span: Span,
        help_text: str | None,
        related: tuple[Related, ...],
        fix: Fix | None,
    ) -> Diagnostic:
        severity = Severity(RULES[code].severity)
        return Diagnostic(code, severity, message, self.source, span, help_text, related, fix)
