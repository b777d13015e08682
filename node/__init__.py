"""The agent on every node: sessions, paths and the packet path that enforces the policy."""
