"""Web proxies that stand between this host and control server and relays (HTTP CONNECT)."""
