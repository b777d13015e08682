"""Reading the configuration from its file and the environment."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from control.config.model import ControlConfig
from control.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_config"]


def load_config(path: Path | None) -> ControlConfig:
    """Read the file, if any, and the environment; raises InvalidRequestError that names the key."""
    try:
        values = {} if path is None else _read_file(path)
        return ControlConfig(**values)
    except OSError as error:
        raise InvalidRequestError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path}: {error}") from None
    except ValidationError as error:
        lines = [_spelled(item) for item in error.errors(include_url=False, include_input=False)]
        raise InvalidRequestError("\n".join([f"{path or 'environment'}:", *lines])) from None


def _read_file(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    values = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidRequestError(f"{path}: keys and values expected at the top level")
    return values


def _spelled(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    return f"  {place + ': ' if place else ''}{item['msg'].removeprefix('Value error, ')}"
