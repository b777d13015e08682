"""The story counts what it proves, and its edits fit the example."""

from __future__ import annotations

import pytest

from node.demo.story import EDIT, TEST_EDIT, Story, _replaced
from tests.support.mesh import POLICY


def test_failed_proof_is_said_and_kept() -> None:
    said: list[str] = []
    story = Story(said.append)
    story.check("a", holds=True)
    story.check("b", holds=False, found="c")
    assert said == ["  ok  a", "FAIL  b: c"]
    assert (story.proven, story.failed) == (1, ["b"])


@pytest.mark.parametrize("edits", [EDIT, TEST_EDIT])
def test_edit_fits_the_example_policy(edits: tuple[tuple[str, str], ...]) -> None:
    text = POLICY.read_text()
    assert _replaced(text, edits) != text


def test_edit_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not say"):
        _replaced("{}", EDIT)
