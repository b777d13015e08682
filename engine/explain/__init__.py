"""Why a flow is allowed, or what the nearest rules lack."""

from __future__ import annotations

from engine.explain.answer import Answer, Explanation, explain
from engine.explain.nearmiss import NearMiss
from engine.explain.parties import QuestionError

__all__ = ["Answer", "Explanation", "NearMiss", "QuestionError", "explain"]
