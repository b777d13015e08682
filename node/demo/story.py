"""What the demo shows, step by step. A proof that fails is shown as such and fails the demo."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from node.demo.network import DOMAIN, MEMBERS, Network, PolicyRefusedError, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = ["EDIT", "Story", "tell"]

_DENIED_S: Final = 1.5
_CUT_LIMIT_S: Final = 2.0
_CUT: Final = "cut "

EDIT: Final = (
    ('"dst":    ["tag:production:443", "tag:staging:*"]', '"dst":    ["tag:staging:*"]'),
)
"""What is changed in the rule: engineering loses production."""
TEST_EDIT: Final = (
    ('"accept": ["tag:production:443", "tag:staging:22"', '"accept": ["tag:staging:22"'),
    ('"deny":   ["tag:production:22"', '"deny":   ["tag:production:443", "tag:production:22"'),
)
"""What has to change in the policy's tests with it."""

OPEN: Final = (
    ("engineer", "production", 443),
    ("engineer", "staging", 22),
    ("engineer", "staging", 8080),
    ("ops", "production", 22),
    ("ops", "production", 443),
    ("ops", "staging", 22),
    ("ops", "staging", 443),
    ("ops", "staging", 8080),
    ("ops", "engineer", 22),
)
CLOSED: Final = (
    ("engineer", "production", 22),
    ("engineer", "ops", 22),
    ("visitor", "production", 443),
    ("visitor", "staging", 443),
    ("staging", "production", 443),
    ("production", "engineer", 22),
)


@dataclass
class Story:
    """Tells and keeps count."""

    say: Callable[[str], None]
    proven: int = 0
    failed: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Begin a step."""
        self.say(f"\n{text}")

    def note(self, text: str) -> None:
        """Quote something."""
        for line in text.splitlines():
            self.say(f"      {line}".rstrip())

    def check(self, text: str, *, holds: bool, found: str = "") -> None:
        """Say whether something holds."""
        if holds:
            self.proven += 1
            self.say(f"  ok  {text}")
        else:
            self.failed.append(text)
            self.say(f"FAIL  {text}{': ' + found if found else ''}")


def tell(network: Network, policy: str, story: Story) -> None:
    """Run every step. Raises LabError when something cannot even be tried."""
    _set_up(network, policy, story)
    _names(network, story)
    _who_reaches_what(network, story)
    _ways(network, story)
    _edit(network, policy, story)


def _set_up(network: Network, policy: str, story: Story) -> None:
    story.title("1. A control server, a relay, and five machines that join with pre-auth keys")
    began = time.monotonic()
    network.start_servers()
    network.join()
    for member in MEMBERS:
        owner = member.tag or f"{member.owner}@corp.example"
        story.note(f"{network.addresses[member.host]:<12} {member.host:<11} {owner}")
    joined = len(network.api("GET", "node")["nodes"])
    seconds = time.monotonic() - began
    story.check(f"all {joined} joined, {seconds:.0f} s after the start", holds=joined == 5)
    story.title("2. The policy goes into force; its own tests must pass first")
    try:
        network.set_policy(policy)
    except PolicyRefusedError as error:
        story.check("the policy's own tests pass", holds=False, found=str(error))
        return
    story.check("the policy's own tests pass", holds=True)
    wait_until(lambda: network.peer("staging", "visitor") is None, "the policy reaches every node")
    wait_until(lambda: network.peer("engineer", "production") is not None, "peers")


def _names(network: Network, story: Story) -> None:
    story.title("3. Names: every machine answers for the whole tailnet, and only for what it sees")
    name, address = f"production.{DOMAIN}", network.addresses["production"]
    found = network.resolve("engineer", name)
    story.check(f"{name} is {address} for engineer", holds=found == address, found=found)
    found = network.resolve("visitor", name)
    story.check(f"{name} is nobody for visitor", holds=found == "NXDOMAIN", found=found)


def _who_reaches_what(network: Network, story: Story) -> None:
    story.title("4. Who reaches what, by real TCP connections")
    for host, other, port in OPEN:
        found = network.connect(host, other, port)
        holds = found == f"open {other}"
        story.check(f"{host} reaches {other}:{port}", holds=holds, found=found)
    for host, other, port in CLOSED:
        found = network.connect(host, other, port, _DENIED_S)
        holds = not found.startswith("open")
        story.check(f"{host} does not reach {other}:{port}", holds=holds, found=found)
    denials = network.ask("production", "GET", "/denials")["recent"]
    refused = [item["text"] for item in denials if item["dst_port"] == 22]
    story.check("production logged who it refused, and why", holds=bool(refused))
    story.note("\n".join(refused[-1:]))


def _ways(network: Network, story: Story) -> None:
    story.title("5. The way packets take: straight through the NAT, by relay when UDP is blocked")

    def address() -> str:
        peer = network.peer("engineer", "production")
        return str(peer["CurAddr"]) if peer else ""

    def touched_way() -> str:
        network.connect("engineer", "production", 443)
        return address()

    wait_until(lambda: bool(touched_way()), "a direct path", 30)
    way = address()
    story.check(f"engineer talks to production directly, at {way}", holds=bool(way))
    network.lab.block_udp()
    wait_until(lambda: not touched_way(), "the relay takes over", 30)
    found = network.connect("engineer", "production", 443)
    story.check("with UDP blocked the relay carries it", holds=found == "open production")
    network.lab.unblock_udp()
    wait_until(lambda: bool(touched_way()), "a direct path again", 60)
    story.check(f"with UDP back it is direct again, at {address()}", holds=True)


def _edit(network: Network, policy: str, story: Story) -> None:
    story.title("6. The policy is edited live: engineering loses production")
    story.note(network.explain("engineer", "production", 443))
    edited = _replaced(policy, EDIT)
    try:
        network.set_policy(edited)
    except PolicyRefusedError as error:
        story.check("an edit that breaks the policy's own tests is refused", holds=True)
        story.note(str(error)[:200])
    else:
        story.check("an edit that breaks the policy's own tests is refused", holds=False)
    log = network.directory / "held.log"
    command = (sys.executable, "-m", "node.demo.probe", "hold")
    holder = network.lab.start(
        "engineer", *command, network.addresses["production"], "443", log="held"
    )
    wait_until(lambda: "open" in log.read_text(), "the connection that will be cut")
    sent_at = network.set_policy(_replaced(edited, TEST_EDIT))
    _await_end(holder)
    text = log.read_text()
    cut_at = float(text.rpartition(_CUT)[2]) if _CUT in text else float("inf")
    took = max(0.0, cut_at - sent_at)
    story.check(
        f"the connection that was open is cut {took * 1000:.0f} ms after the edit was sent",
        holds=took < _CUT_LIMIT_S,
    )
    found = network.connect("engineer", "production", 443, _DENIED_S)
    story.check("no new one opens", holds=not found.startswith("open"), found=found)
    found = network.connect("ops", "production", 443)
    story.check("ops still reaches production:443", holds=found == "open production", found=found)
    story.note(network.explain("engineer", "production", 443))


def _await_end(process: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: process.poll() is not None, "the end of the connection", 15)


def _replaced(text: str, edits: tuple[tuple[str, str], ...]) -> str:
    for old, new in edits:
        if old not in text:
            raise ValueError(f"the policy does not say {old}")
        text = text.replace(old, new)
    return text
