"""Any text gives a policy or findings inside the text, never an exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy.diagnostics.diagnostic import Severity
from policy.load import Loaded, load
from policy.lower.document import SECTIONS
from policy.source import Source
from policy.suite import load_suite

EXAMPLES = [
    path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parents[3] / "examples" / "policies").glob("*.hujson"))
]

WORDS = st.sampled_from(
    [
        "*",
        "tag:web",
        "group:dev",
        "ann@corp.test",
        "autogroup:self",
        "10.0.0.0/8",
        "::/0",
        "accept",
        "*:*",
        "tag:web:443",
        "tcp:22",
        "root",
        "posture:x",
        "ipset:a",
        "svc:p",
        "12h",
        "",
    ]
)
FIELDS = st.sampled_from(
    [
        "action",
        "src",
        "dst",
        "ip",
        "app",
        "via",
        "users",
        "proto",
        "accept",
        "deny",
        "target",
        "attr",
        "checkPeriod",
        "routes",
        "exitNode",
        "nodes",
        "regions",
        "tag:web",
        "group:dev",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 70_000), st.floats(), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(FIELDS | WORDS, inner, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(SECTIONS), VALUES, max_size=5)


def check(loaded: Loaded, text: str) -> None:
    errors = [found for found in loaded.diagnostics if found.severity is Severity.ERROR]
    assert (loaded.policy is None) == bool(errors)
    for found in loaded.diagnostics:
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert found.position.line >= 1


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    check(load(Source("policy", text)), text)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    source = Source.from_bytes("policy", data)
    check(load(source), source.text)


@given(DOCUMENTS)
def test_any_document(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    check(load(Source("policy", text), domains=frozenset({"corp.test"})), text)


@given(st.data())
def test_examples_with_pieces_cut_out_or_put_in(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(EXAMPLES))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    piece = data.draw(st.one_of(WORDS, st.sampled_from(['"', "{", "]", ",", "//", "null", "[1]"])))
    mutated = text[:start] + piece + text[end:]
    check(load(Source("policy", mutated)), mutated)


@given(VALUES)
def test_any_suite(value: Any) -> None:
    loaded = load_suite(Source("suite", json.dumps({"tests": value, "sshTests": value})))
    has_errors = any(found.severity is Severity.ERROR for found in loaded.diagnostics)
    assert not has_errors or (loaded.tests, loaded.ssh_tests) == ((), ())
