"""A hypothesis profile without deadlines: how long an example takes says nothing of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("timeless", deadline=None)
settings.load_profile("timeless")
