"""Durable state: SQLite by default, PostgreSQL by URL."""
