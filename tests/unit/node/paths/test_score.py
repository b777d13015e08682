"""Path scoring against the recorded comparisons."""

from __future__ import annotations

from typing import Any

import pytest

from node.paths.score import Quality, is_better
from node.transport.endpoint import Endpoint
from tests.support.vectors import load

CASES = load("paths", "better_addr")["cases"]


def quality(fields: dict[str, Any] | None) -> Quality | None:
    if fields is None:
        return None
    endpoint = Endpoint.parse(fields["addr"])
    return Quality(endpoint, fields["latency_ns"], fields["wire_mtu"], fields["vni"])


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_recorded_comparison(case: dict[str, Any]) -> None:
    a, b = quality(case["a"]), quality(case["b"])
    assert is_better(a, b) == case["want"]
    assert not (is_better(a, b) and is_better(b, a))
