"""What a change of policy gives and takes: access by network, capability and SSH login.

The answer is exact, not sampled: it is worked out with the sets that the evaluator decides by.
"""

from __future__ import annotations

from engine.difference.described import difference_lines, difference_to_json
from engine.difference.network import AccessChange, Difference, LoginChange, difference

__all__ = [
    "AccessChange",
    "Difference",
    "LoginChange",
    "difference",
    "difference_lines",
    "difference_to_json",
]
