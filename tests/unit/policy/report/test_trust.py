from __future__ import annotations

from policy.load import load
from policy.report.trust import Trust, selectors, trusted
from policy.source import Source

_POLICY = """{
  "groups": {"group:a": ["ann@corp.test", "bo@corp.test"]},
  "tagOwners": {"tag:x": ["cy@corp.test", "autogroup:admin"]},
  "autoApprovers": {
    "routes": {"10.0.0.0/8": ["di@corp.test"]},
    "exitNode": ["ed@corp.test"],
    "services": {"svc:p": ["autogroup:owner"]},
  },
  "acls": [{"action": "accept", "src": ["ann@corp.test"], "dst": ["fay@corp.test:22"]}],
  "grants": [{"src": ["user:*@corp.test"], "dst": ["gus@corp.test"], "ip": ["*"]}],
  "ssh": [{"action": "accept", "src": ["hal@corp.test"], "dst": ["tag:x"],
           "users": ["root", "localpart:*@other.test"]}],
  "nodeAttrs": [{"target": ["ivy@corp.test"], "attr": ["funnel"]}],
  "tests": [{"src": "nobody@corp.test", "accept": ["tag:x:1"]}],
}"""


def _policy(text: str = _POLICY):  # type: ignore[no-untyped-def]  # noqa: ANN202  the model's own type
    policy = load(Source("p", text)).policy
    assert policy is not None
    return policy


def test_each_thing_counts_once_wherever_it_stands() -> None:
    # ann bo cy di ed fay gus hal ivy; corp.test and other.test; admin and owner
    assert trusted(_policy(), 4) == Trust(users=9, domains=2, roles=2, tests=4)


def test_a_policy_without_names_trusts_nothing() -> None:
    assert trusted(_policy("{}"), 0).total == 0


def test_every_section_with_selectors_is_read() -> None:
    assert {s.text for s in selectors(_policy())} >= {"cy@corp.test", "tag:x", "ivy@corp.test"}
