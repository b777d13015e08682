from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path


def changed(policy: Path, old: str, new: str) -> Path:
    path = policy.with_name("new.hujson")
    text = policy.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_access_is_compared_and_not_text(policy: Path, inventory: Path) -> None:
    same = changed(policy, "// engineers reach", "// Engineers may reach")
    assert run_policy("diff", policy, same, "-i", inventory).code == 0
    other = changed(policy, "tag:web:443", "tag:web:80")
    ran = run_policy("diff", policy, other, "-i", inventory)
    assert ran.code == 1
    assert ran.stdout.splitlines() == [
        "losing access: ann@corp.test",
        "gaining access: ann@corp.test",
        "- ann@corp.test (lap) -> tag:web (web): tcp 443, udp 443  [acls[0], line 6]",
        "+ ann@corp.test (lap) -> tag:web (web): tcp 80, udp 80  [acls[0], line 6]",
    ]


def test_json_has_the_same(policy: Path, inventory: Path) -> None:
    other = changed(policy, "tag:web:443", "tag:web:80")
    told = run_policy("diff", policy, other, "-i", inventory, "-f", "json").json()
    assert (told["same"], told["imagined"]) == (False, False)
    assert [change["change"] for change in told["access"]] == ["removed", "added"]


def test_without_an_inventory_no_difference_is_no_proof(policy: Path) -> None:
    assert run_policy("diff", policy, policy).code == 0
    same = changed(policy, "// engineers reach", "// Engineers may reach")
    ran = run_policy("diff", policy, same)
    assert ran.code == 3
    assert "imagined tailnet" in ran.stdout
    other = changed(policy, "tag:web:443", "tag:web:80")
    assert run_policy("diff", policy, other).code == 1


def test_text_can_be_compared(policy: Path) -> None:
    same = changed(policy, "// engineers reach", "// Engineers may reach")
    ran = run_policy("diff", "--text", policy, same)
    assert ran.code == 1
    assert "+\t// Engineers may reach" in ran.stdout
    assert run_policy("diff", "--text", policy, policy).code == 0


def test_invalid_policy_is_trouble(policy: Path, inventory: Path) -> None:
    broken = changed(policy, '"acls": [', '"acls": {')
    ran = run_policy("diff", policy, broken, "-i", inventory)
    assert (ran.code, ran.stdout) == (2, "")
    assert "is not valid" in ran.stderr
