"""What the exit code of every subcommand means, and the exception that ends a run early."""

from __future__ import annotations

__all__ = ["CANNOT_RUN", "CLEAN", "FINDINGS", "INTERRUPTED", "UNDECIDED", "CannotRunError"]

CLEAN = 0
"""Done, and nothing to complain of."""
FINDINGS = 1
"""Done: the policy is invalid, a test failed, a file would be reformatted, access is denied."""
CANNOT_RUN = 2
"""Not done: wrong usage, an unreadable file, a fault of the tool itself."""
UNDECIDED = 3
"""Done, but the answer depends on something that was not given."""
INTERRUPTED = 130
"""Stopped from the keyboard, in the way that shells expect."""


class CannotRunError(Exception):
    """Something without which there is no answer; the message is one line for the user."""
