"""Who answers the questions of tests: with an inventory exactly, without one as far as certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.rules import Origin
    from engine.testing.questions import Target
    from policy.model.selectors import Selector

__all__ = ["Oracle", "Question", "Reach"]


class Question(NamedTuple):
    """Whether a source may reach a destination."""

    src: Selector
    target: Target
    protocols: tuple[int, ...]
    """Any of them suffices."""
    attributes: Mapping[str, str | int | float | bool] | None
    """Posture attributes of the source; None fails every posture."""
    own_devices: bool = False
    """Whether `autogroup:self` counts: it does in suites, not in a policy's own tests."""


class Reach(NamedTuple):
    """The answer. True and False are certain; None depends on an inventory."""

    from_every: bool | None = False
    """Every source address reaches at least one of the destination's: what the service asks."""
    fully: bool | None = False
    """Every source address reaches every destination address on every port asked about."""
    at_all: bool | None = False
    """Some source address reaches some destination address on some port."""
    allowing: tuple[Origin, ...] = ()
    """Rules that allow any of it, in order."""
    missing: str | None = None
    """Why nothing could be compared, such as a source without devices."""
    lacks: str = ""
    """The source or destination that no device is, where `missing` is for that."""
    witness: str | None = None
    """An example against `fully`: addresses and port that are not allowed."""


class Oracle(Protocol):
    """Answers questions about network access."""

    def reach(self, question: Question) -> Reach:
        """Answer one question."""
        ...
