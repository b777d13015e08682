"""Test cases of a policy: the entries of `tests` and `sshTests`, and of suites in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policy.model.term import Term
    from policy.source import Source, Span

__all__ = ["SshTestCase", "TestCase"]


class TestCase(NamedTuple):
    """What some sources must and must not reach.

    Entries of a policy's own `tests` have exactly one source and none of the fields that only
    suites know (policy reference 8.1).
    """

    source: Source
    position: int
    span: Span
    name: str | None
    src: tuple[Term, ...]
    protocol: str | None
    """As written, or None where TCP and UDP are asked."""
    accept: tuple[Term, ...]
    deny: tuple[Term, ...]
    posture_attributes: Mapping[str, Any] | None
    via: tuple[Term, ...] = ()
    """Suites: exit nodes or routers, any of which must carry the traffic."""
    capabilities: tuple[Term, ...] = ()
    """Suites: capabilities that the sources must hold on every `on` destination."""
    no_capabilities: tuple[Term, ...] = ()
    on: tuple[Term, ...] = ()
    suite: bool = False
    """Whether the case comes from a suite, where ranges, CIDRs and the internet may be asked."""


class SshTestCase(NamedTuple):
    """Which accounts a source may use on some destinations over SSH (policy reference 8.3)."""

    source: Source
    position: int
    span: Span
    name: str | None
    src: tuple[Term, ...]
    dst: tuple[Term, ...]
    accept: tuple[Term, ...]
    check: tuple[Term, ...]
    deny: tuple[Term, ...]
    posture_attributes: Mapping[str, Any] | None
