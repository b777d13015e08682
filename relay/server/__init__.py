"""Sockets around the relay's machines: TLS, HTTP, WebSocket, UDP, timers. Nothing decides here."""
