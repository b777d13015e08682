"""Whether a path still works, from what it proved and what it left unanswered."""

from __future__ import annotations

import pytest

from node.paths.proof import Proof, Purpose, Question
from node.paths.score import Quality
from node.transport.endpoint import Endpoint

BEST = Quality(Endpoint.parse("198.51.100.9:41641"), 20_000_000)
OTHER = Endpoint.parse("192.0.2.1:1")


def asked(at: float, endpoint: Endpoint | None = BEST.endpoint) -> list[Question]:
    return [Question(endpoint, at, Purpose.LIVENESS)]


def test_pong_is_trusted_for_six_and_a_half_seconds() -> None:
    proof = Proof()
    assert not proof.is_trusted(10)
    proof.note_pong(10)
    assert proof.is_trusted(16.5)
    assert not proof.is_trusted(16.6)


def test_packet_proves_the_path_but_does_not_prolong_trust() -> None:
    proof = Proof()
    proof.note_pong(10)
    proof.doubt(BEST, asked(11), 11.5)
    assert not proof.is_trusted(12)
    proof.note_data(12)
    assert proof.is_trusted(12)
    assert not proof.is_trusted(17)
    assert proof.has_data_since(12)
    assert not proof.has_data_since(12.1)


@pytest.mark.parametrize(
    ("latency_ns", "patience_s"), [(20_000_000, 0.5), (125_000_000, 0.5), (300_000_000, 1.2)]
)
def test_question_is_a_doubt_after_half_a_second_or_four_latencies(
    latency_ns: int, patience_s: float
) -> None:
    best = Quality(BEST.endpoint, latency_ns)
    proof = Proof()
    proof.note_pong(10)
    assert proof.deadline(best, asked(11)) == pytest.approx(11 + patience_s)
    proof.doubt(best, asked(11), 11 + patience_s - 0.01)
    assert proof.is_trusted(12)
    proof.doubt(best, asked(11), 11 + patience_s + 0.01)
    assert proof.is_doubted
    assert proof.deadline(best, asked(11)) is None


def test_questions_from_before_the_last_proof_or_about_others_are_no_doubt() -> None:
    proof = Proof()
    proof.note_pong(10)
    for questions in (asked(9), asked(11, OTHER), asked(11, None)):
        proof.doubt(BEST, questions, 15)
    assert not proof.is_doubted


def test_silence_counts_from_the_first_packet_that_was_not_answered() -> None:
    proof = Proof()
    proof.note_pong(10)
    assert proof.deadline(BEST, []) is None
    proof.note_sent(11)
    proof.note_sent(11.8)
    assert proof.deadline(BEST, []) == 12
    assert not proof.is_silent(11.9)
    assert proof.is_silent(12)
    proof.note_data(12)
    assert not proof.is_silent(20)


def test_reset_trusts_nothing() -> None:
    proof = Proof()
    proof.note_pong(10)
    proof.note_data(10)
    proof.reset()
    assert not proof.is_trusted(10)
    assert not proof.has_data_since(0)
