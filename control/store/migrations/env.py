"""Runs migrations on the connection that `control.store.database` hands over."""

from __future__ import annotations

from alembic import context

from control.store.schema import METADATA

connection = context.config.attributes["connection"]
# Several servers may start at once on one database: only one of them migrates.
if connection.dialect.name == "postgresql":
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7206021)")
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
