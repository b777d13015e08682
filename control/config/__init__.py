"""Configuration of the control server: one YAML or TOML file, overridden by the environment.

Every key can be set as `POSTERN_CONTROL_` and its path in capitals, parts joined by two
underscores: `POSTERN_CONTROL_NODE__EXPIRY=180d`. Unknown keys are errors.
"""

from __future__ import annotations

from control.config.derp import Derp, DerpServer
from control.config.load import load_config
from control.config.model import ControlConfig
from control.config.serving import ConnectLimit, Log, RegisterLimit
from control.config.tailnet import Dns
from control.config.values import parse_duration

__all__ = [
    "ConnectLimit",
    "ControlConfig",
    "Derp",
    "DerpServer",
    "Dns",
    "Log",
    "RegisterLimit",
    "load_config",
    "parse_duration",
]
