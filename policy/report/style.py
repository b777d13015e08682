"""Colours of a terminal, or none."""

from __future__ import annotations

from typing import NamedTuple

from policy.diagnostics.diagnostic import Severity

__all__ = ["PLAIN", "Style"]

_BY_SEVERITY = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.INFO: "1;36"}


class Style(NamedTuple):
    """How text is emphasised."""

    is_coloured: bool

    def bold(self, text: str) -> str:
        """Emphasise."""
        return self._wrap("1", text)

    def margin(self, text: str) -> str:
        """Set apart from the text of a policy: line numbers and frames."""
        return self._wrap("1;34", text)

    def good(self, text: str) -> str:
        """Say that something is as it should be."""
        return self._wrap("32", text)

    def severe(self, severity: Severity, text: str) -> str:
        """Say how much something matters."""
        return self._wrap(_BY_SEVERITY[severity], text)

    def added(self, text: str) -> str:
        """Show as added."""
        return self._wrap("32", text)

    def removed(self, text: str) -> str:
        """Show as removed."""
        return self._wrap("31", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_coloured and text else text


PLAIN = Style(is_coloured=False)
