"""What every section of the configuration is made of."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["Duration", "Section", "parse_duration"]


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", re.ASCII)


def parse_duration(value: Any) -> Any:
    """Return a timedelta for `90d`, `1h30m` or a number of seconds; anything else as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if isinstance(value, str):
        if value == "0":
            return timedelta()
        if _DURATION.fullmatch(value):
            return sum(
                (timedelta(seconds=float(n) * _UNITS[unit]) for n, unit in _PART.findall(value)),
                timedelta(),
            )
        raise ValueError("a duration is written as 30s, 15m, 24h or 90d")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Section(BaseModel):
    """Keys and values; unknown keys are errors."""

    # Descriptions are what docs/configuration is made of.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
