"""The question what a node may reach, and its answer."""

from __future__ import annotations

import json

import pytest

from control.keys import NodePublic
from control.wire import Reach, ReachRequest, ReachResponse, WireError
from engine.rules import FilterRule, NetPortRange, Origin, PortRange

RULE = FilterRule(
    ("100.64.0.1",),
    (NetPortRange("own4", PortRange(443, 443)),),
    origins=(Origin("acls", 0, 3),),
    shares=(1,),
)


def test_answer_round_trips_with_the_lines_of_the_policy() -> None:
    answer = ReachResponse(reach=(Reach(node_ids=(2, 9), rule=RULE),))
    wire = json.loads(json.dumps(answer.to_json()))
    assert wire["Reach"][0]["Nodes"] == [2, 9]
    read = ReachResponse.from_json(wire)
    assert read == answer
    assert read.reach[0].rule.origins == RULE.origins


def test_answer_that_is_empty_says_so() -> None:
    assert ReachResponse().to_json() == {"Reach": []}
    assert ReachResponse.from_json({"Reach": []}).reach == ()


@pytest.mark.parametrize(
    "wire",
    [{"Reach": [{"Nodes": [1]}]}, {"Reach": [{"Nodes": ["1"], "Rule": {}}]},
     {"Reach": [{"Nodes": [1], "Rule": {"SrcIPs": 7}}]}, {"Reach": 7}],
)  # fmt: skip
def test_odd_answers_are_refused(wire: object) -> None:
    with pytest.raises(WireError):
        ReachResponse.from_json(wire)


def test_question_names_the_node() -> None:
    key = NodePublic(b"\1" * 32)
    wire = ReachRequest(version=113, node_key=key).to_json()
    assert wire == {"Version": 113, "NodeKey": key.to_text()}
