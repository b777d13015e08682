"""A policy, an inventory and a suite on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
{
	// engineers reach the web servers, operators everything
	"groups":    {"group:eng": ["ann@corp.test"], "group:ops": ["bo@corp.test"]},
	"tagOwners": {"tag:web": ["group:ops"]},
	"acls": [
		{"action": "accept", "src": ["group:eng"], "dst": ["tag:web:443"]},
		{"action": "accept", "src": ["group:ops"], "dst": ["*:*"]},
	],
	"tests": [
		{
			"src":    "ann@corp.test",
			"accept": ["tag:web:443"],
			"deny":   ["tag:web:22"],
		},
	],
}
"""

INVENTORY = """\
{
  "users": [
    {"id": "1", "loginName": "ann@corp.test", "role": "owner"},
    {"id": "2", "loginName": "bo@corp.test", "role": "member"}
  ],
  "devices": [
    {"id": "1", "hostname": "lap", "addresses": ["100.64.0.9", "fd7a:115c:a1e0::9"],
     "user": "ann@corp.test"},
    {"id": "2", "hostname": "pad", "addresses": ["100.64.0.11", "fd7a:115c:a1e0::b"],
     "user": "bo@corp.test"},
    {"id": "3", "hostname": "web", "addresses": ["100.64.0.20", "fd7a:115c:a1e0::14"],
     "tags": ["tag:web"]}
  ]
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def policy(folder: Path) -> Path:
    """Return a valid policy whose test passes, in the standard layout."""
    path = folder / "policy.hujson"
    path.write_text(POLICY, encoding="utf-8")
    return path


@pytest.fixture
def inventory(folder: Path) -> Path:
    """Return an inventory that fits the policy."""
    path = folder / "inventory.json"
    path.write_text(INVENTORY, encoding="utf-8")
    return path
