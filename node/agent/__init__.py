"""The agent: joins control session, packet path, paths, relays and host into one node."""
