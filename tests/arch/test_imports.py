"""Which room may import which, and what pure modules may not touch (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BANNED = {
    "asyncio": "sockets live in thin drivers",
    "os": "a pure module has no environment",
    "random": "entropy is injected",
    "secrets": "entropy is injected",
    "socket": "bytes come in as arguments",
    "ssl": "bytes come in as arguments",
    "subprocess": "a pure module starts nothing",
    "threading": "a machine is single-threaded by contract",
    "time": "the time is an argument",
}
PURE = (
    "policy/diagnostics",
    "policy/hujson",
    "policy/lalr",
    "policy/load.py",
    "policy/lower",
    "policy/model",
    "policy/nearest.py",
    "policy/source.py",
    "policy/suite.py",
    "engine",
    "control/keys",
    "control/noise",
    "control/wire",
    "node/disco",
    "node/paths",
    "node/proxy/exchange.py",
    "node/proxy/settings.py",
    "node/wireguard",
    "relay/_frame_payloads.py",
    "relay/_frame_types.py",
    "relay/admission.py",
    "relay/counters.py",
    "relay/errors.py",
    "relay/fastpath.py",
    "relay/frames.py",
    "relay/handshake.py",
    "relay/inflow.py",
    "relay/mesh.py",
    "relay/opening.py",
    "relay/outbox.py",
    "relay/patience.py",
    "relay/ratelimit.py",
    "relay/router.py",
    "relay/session_client.py",
    "relay/session_server.py",
    "relay/stun.py",
    "relay/upgrade.py",
    "relay/welcome.py",
)


def pure_modules() -> list[Path]:
    found: list[Path] = []
    for name in PURE:
        path = ROOT / name
        found.extend([path] if path.suffix else sorted(path.rglob("*.py")))
    return found


def imported_roots(tree: ast.Module) -> set[str]:
    roots: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            roots.add(node.module.partition(".")[0])
    return roots


def test_rooms_keep_to_the_import_table() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_module_does_no_io(path: Path) -> None:
    banned = imported_roots(ast.parse(path.read_text(encoding="utf-8"))) & BANNED.keys()
    assert not banned, {name: BANNED[name] for name in banned}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import policy, engine", {"lark", "pydantic", "aiohttp", "numpy", "cryptography"}),
        ("import policy.load", {"lark", "pydantic", "engine", "aiohttp", "asyncio"}),
        ("import engine.compile.network", {"pydantic", "aiohttp", "numpy", "nacl", "asyncio"}),
        ("import engine.evaluate", {"policy", "pydantic", "asyncio"}),
    ],
)
def test_import_drags_in_nothing_else(statement: str, unwanted: set[str]) -> None:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not unwanted & set(done.stdout.split())
