"""Create the first tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Frozen on purpose: a migration must not follow later changes of control.store.schema.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.BigInteger


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)


def upgrade() -> None:
    """Create users, keys, nodes, policy versions and the audit log."""
    op.create_table(
        "users",
        _id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("picture_url", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sa.UniqueConstraint("provider_id", name="uq_users_provider_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "auth_keys",
        _id(),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("user_id", _ID),
        sa.Column("is_reusable", sa.Boolean, nullable=False),
        sa.Column("is_ephemeral", sa.Boolean, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("used_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_auth_keys"),
        sa.UniqueConstraint("prefix", name="uq_auth_keys_prefix"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_auth_keys_user_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "nodes",
        _id(),
        sa.Column("machine_key", sa.Text, nullable=False),
        sa.Column("node_key", sa.Text, nullable=False),
        sa.Column("disco_key", sa.Text, nullable=False),
        sa.Column("nl_key", sa.Text, nullable=False),
        sa.Column("user_id", _ID),
        sa.Column("auth_key_id", _ID),
        sa.Column("register_method", sa.Text, nullable=False),
        sa.Column("given_name", sa.Text, nullable=False),
        sa.Column("is_renamed", sa.Boolean, nullable=False),
        sa.Column("ipv4", sa.Text),
        sa.Column("ipv6", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("approved_routes", sa.JSON, nullable=False),
        sa.Column("hostinfo", sa.JSON, nullable=False),
        sa.Column("endpoints", sa.JSON, nullable=False),
        sa.Column("home_derp", sa.Integer, nullable=False),
        sa.Column("capability_version", sa.Integer, nullable=False),
        sa.Column("is_ephemeral", sa.Boolean, nullable=False),
        sa.Column("is_authorized", sa.Boolean, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_seen", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
        sa.UniqueConstraint("node_key", name="uq_nodes_node_key"),
        sa.UniqueConstraint("given_name", name="uq_nodes_given_name"),
        sa.UniqueConstraint("ipv4", name="uq_nodes_ipv4"),
        sa.UniqueConstraint("ipv6", name="uq_nodes_ipv6"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_nodes_user_id"),
        sa.ForeignKeyConstraint(
            ["auth_key_id"], ["auth_keys.id"], name="fk_nodes_auth_key_id", ondelete="SET NULL"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_nodes_machine_key", "nodes", ["machine_key"])
    op.create_table(
        "deleted_nodes",
        sa.Column("node_key", sa.Text, nullable=False),
        sa.Column("machine_key", sa.Text, nullable=False),
        sa.Column("node_id", _ID, nullable=False),
        sa.Column("deleted_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("node_key", name="pk_deleted_nodes"),
    )
    op.create_table(
        "api_keys",
        _id(),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "policy_versions",
        _id(),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy_versions"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_log",
        _id(),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
