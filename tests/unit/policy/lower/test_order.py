"""Findings come in the order in which the service checks (policy reference 2.6)."""

from __future__ import annotations

from policy.load import load
from policy.source import Source

EVERYTHING_WRONG = """{
  "sshTests": [{"src": "a@x.test", "dst": ["10.0.0.0/8"], "accept": ["root"]}],
  "nodeAttrs": [{"target": ["nobody-knows"], "attr": ["x"]}],
  "ssh": [{"users": ["*"], "checkPeriod": "never", "acceptEnv": [""], "dst": ["db"]}],
  "grants": [
    {"src": ["tag:g"], "dst": ["0.0.0.0/0"], "ip": ["tcp"], "app": {"bad": []}, "via": ["x@y.z"]},
    {"src": ["*"], "dst": ["*"]}
  ],
  "acls": [{"action": "deny", "src": ["tag:a"], "dst": ["tag:b:https", "tag:b:1"]}],
  "tagOwners": {"tag:1": [], "web": []},
  "groups": {"group:a": ["group:b"], "group:b": ["group:a"]},
  "unknown": 1,
}"""


def messages(text: str) -> list[str]:
    return [found.message for found in load(Source("policy", text)).diagnostics]


def test_whole_document() -> None:
    assert messages(EVERYTHING_WRONG) == [
        'json: unknown field "unknown"',
        'groups["group:b"]: "group:a": group members cannot be recursive',
        'groups["group:a"]: "group:b": group members cannot be recursive',
        "tagOwners[\"web\"]: tags must start with 'tag:'",
        "tagOwners[\"tag:1\"]: tag names must start with a letter, after 'tag:'",
        'action="deny" is not supported',
        'src=tag not found: "tag:a"',
        'dst="tag:b:https": port range "https": invalid first integer',
        'dst="tag:b": tag not found: "tag:b"',
        'port range "tcp": invalid first integer',
        'src=tag not found: "tag:g"',
        'dst "0.0.0.0/0": to allow all IP addresses, use "*" or "autogroup:internet"',
        "capability name must have the form {domain}/{path}",
        "via can only be a tag",
        "ip and app can not both be empty",
        "action must be specified",
        'user "*" is not valid',
        'time: invalid duration "never"',
        "acceptEnv values cannot be empty",
        'invalid dst "db"',
        '"nobody-knows": invalid address',
        'SSH tests dst contains disallowed element "10.0.0.0/8"',
    ]


def test_shape_before_meaning() -> None:
    found = messages('{"groups": {"group:a": ["group:b"]}, "acls": [{"action": 1}]}')
    assert found[0] == "action: expected a string, found a number"
    assert found[1].startswith("groups")


def test_syntax_before_everything() -> None:
    found = messages('{"groups": {"group:a": ["group:b"]}, "x": 1 "y": 2}')
    assert found[0].startswith("line 1, column ")


def test_same_text_same_findings() -> None:
    assert messages(EVERYTHING_WRONG) == messages(EVERYTHING_WRONG)
