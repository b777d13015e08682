from __future__ import annotations

from policy.cli.unknown_users import unknown_users
from policy.load import load
from policy.source import Source


def _unknown(text: str, *logins: str) -> list[tuple[str, str | None]]:
    source = Source("p", text)
    loaded = load(source)
    assert loaded.policy is not None
    return [
        (source.text[found.span.start : found.span.end], found.help)
        for found in unknown_users(loaded.policy, loaded.root, logins)
    ]


_RULE = '{{"acls": [{{"action": "accept", "src": ["{src}"], "dst": ["{dst}"]}}]}}'


def test_known_users_are_fine() -> None:
    text = _RULE.format(src="a@b.test", dst="a@b.test:22")
    assert _unknown(text, "a@b.test") == []


def test_each_login_is_reported_where_it_first_stands() -> None:
    text = _RULE.format(src="a@b.test", dst="c@b.test:22")
    assert [login for login, _ in _unknown(text)] == ["a@b.test", "c@b.test"]


def test_the_nearest_login_is_offered() -> None:
    text = _RULE.format(src="anm@b.test", dst="*:*")
    assert _unknown(text, "ann@b.test") == [("anm@b.test", "did you mean `ann@b.test`?")]


def test_blanks_around_a_login_are_not_part_of_it() -> None:
    assert _unknown(_RULE.format(src=" a@b.test ", dst="*:*"))[0][0] == "a@b.test"


def test_members_of_groups_are_users() -> None:
    assert _unknown('{"groups": {"group:x": ["a@b.test"]}}')[0][0] == "a@b.test"


def test_sources_of_tests_are_judged_by_the_tests() -> None:
    text = '{"tests": [{"src": "a@b.test", "accept": ["c@b.test:1"]}]}'
    assert _unknown(text) == []


def test_an_inventory_of_another_tailnet_is_not_listed_login_by_login() -> None:
    members = ", ".join(f'"u{i}@b.test"' for i in range(80))
    assert len(_unknown(f'{{"groups": {{"group:x": [{members}]}}}}')) == 50
