"""Handlers: they read requests, call what decides, and write responses."""
