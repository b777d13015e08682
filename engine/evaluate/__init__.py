"""Decisions by a compiled packet filter: the fast evaluator, packets, capabilities.

Part of the engine runtime, which also runs on nodes: standard library only, no I/O. The slow
evaluator that all of it is tested against is `engine.evaluate.reference`.
"""

from __future__ import annotations

from engine.evaluate.attribution import allowing_origins
from engine.evaluate.capabilities import PeerCapabilities
from engine.evaluate.evaluator import FilterEvaluator
from engine.evaluate.flow import FRAGMENT, UNKNOWN, Flow, FlowKey, PacketHeader, Reason, Verdict
from engine.evaluate.local import local_destinations
from engine.evaluate.matches import match_form, packet_filter_matches
from engine.evaluate.packet import PacketFilter

__all__ = [
    "FRAGMENT",
    "UNKNOWN",
    "FilterEvaluator",
    "Flow",
    "FlowKey",
    "PacketFilter",
    "PacketHeader",
    "PeerCapabilities",
    "Reason",
    "Verdict",
    "allowing_origins",
    "local_destinations",
    "match_form",
    "packet_filter_matches",
]
