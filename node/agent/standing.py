"""Where the agent stands with its control server and its host, in the field's words."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.agent.control_session import SessionState
from node.agent.status import BackendState

__all__ = ["Standing"]


@dataclass(slots=True)
class Standing:
    """What `status` says of the agent itself; knows no sockets."""

    state: str = BackendState.NO_STATE
    auth_url: str = ""
    """Where a person has to log in."""
    login_error: str = ""
    is_online: bool = False
    troubles: dict[str, str] = field(default_factory=dict)
    """What is wrong now, one line for each part of the agent that says so."""

    def on_session(self, state: SessionState, text: str) -> None:
        """Take what the control session says; `text` is a URL to open, or what went wrong."""
        self.is_online = state is SessionState.STREAMING
        self.auth_url = ""
        self.settle("control")
        match state:
            case SessionState.NEEDS_LOGIN:
                self.state = BackendState.NEEDS_LOGIN
                if text.startswith(("http://", "https://")):
                    self.auth_url = text
                else:
                    self.login_error = text or "the control server does not know this node"
            case SessionState.NEEDS_APPROVAL:
                self.state = BackendState.NEEDS_MACHINE_AUTH
            case SessionState.STREAMING:
                self.login_error = ""
            case SessionState.OFFLINE:
                self.note("control", f"no connection to the control server: {text}")
            case SessionState.CONNECTING:
                if self.state not in {BackendState.RUNNING, BackendState.NEEDS_LOGIN}:
                    self.state = BackendState.STARTING

    def on_applied(self) -> None:
        """Take it that packet path and host are as the netmap wants them."""
        self.settle("filter", "host")
        if self.state in {BackendState.STARTING, BackendState.NO_STATE}:
            self.state = BackendState.RUNNING

    def on_session_ended(self) -> None:
        """Take it that nobody talks with the control server any more, as was asked for."""
        self.is_online = False
        self.settle("control")

    def on_detached(self) -> None:
        """Take it that tunnel, relays and names are gone, and what was wrong with them."""
        self.settle(*(self.troubles.keys() - {"control", "disk"}))

    def note_relay(self, region: int, trouble: str) -> None:
        """Say what is wrong with a region's relay, empty for nothing."""
        self.note(f"relay {region}", trouble)

    def note(self, part: str, trouble: str) -> bool:
        """Say what is wrong with a part, empty for nothing; returns whether that is news."""
        if not trouble:
            return self.troubles.pop(part, None) is not None
        is_news = self.troubles.get(part) != trouble
        self.troubles[part] = trouble
        return is_news

    def settle(self, *parts: str) -> None:
        """Take it that nothing is wrong with these parts any more."""
        for part in parts:
            self.troubles.pop(part, None)
