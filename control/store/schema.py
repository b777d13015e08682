"""Tables, as the newest migration leaves them.

`tests/unit/control/store/test_migrations.py` compares this with what the migrations build. Times
are whole microseconds since 1970 in UTC, so that both databases keep them alike; keys are their
text forms.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

__all__ = [
    "API_KEYS",
    "AUDIT_LOG",
    "AUTH_KEYS",
    "DELETED_NODES",
    "METADATA",
    "NODES",
    "OAUTH_CLIENTS",
    "OAUTH_TOKENS",
    "POLICY_VERSIONS",
    "SETTINGS",
    "USERS",
    "UtcTime",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A moment, kept as microseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> Any:
        """Turn a moment into a number."""
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        """Turn a number into a moment."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    # Numbers of deleted rows must not come back: nodes remember one another by them.
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        *columns,
        sqlite_autoincrement=True,
    )


USERS = _table(
    "users",
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("picture_url", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

AUTH_KEYS = _table(
    "auth_keys",
    sa.Column("prefix", sa.Text, nullable=False, unique=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("user_id", _ID, sa.ForeignKey("users.id")),
    sa.Column("is_reusable", sa.Boolean, nullable=False),
    sa.Column("is_ephemeral", sa.Boolean, nullable=False),
    sa.Column("is_preauthorized", sa.Boolean, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("used_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
)

NODES = _table(
    "nodes",
    sa.Column("machine_key", sa.Text, nullable=False, index=True),
    sa.Column("node_key", sa.Text, nullable=False, unique=True),
    sa.Column("disco_key", sa.Text, nullable=False),
    sa.Column("nl_key", sa.Text, nullable=False),
    sa.Column("user_id", _ID, sa.ForeignKey("users.id")),
    sa.Column("auth_key_id", _ID, sa.ForeignKey("auth_keys.id", ondelete="SET NULL")),
    sa.Column("register_method", sa.Text, nullable=False),
    sa.Column("given_name", sa.Text, nullable=False, unique=True),
    sa.Column("is_renamed", sa.Boolean, nullable=False),
    sa.Column("ipv4", sa.Text, unique=True),
    sa.Column("ipv6", sa.Text, unique=True),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("approved_routes", sa.JSON, nullable=False),
    sa.Column("policy_routes", sa.JSON, nullable=False),
    sa.Column("hostinfo", sa.JSON, nullable=False),
    sa.Column("endpoints", sa.JSON, nullable=False),
    sa.Column("home_derp", sa.Integer, nullable=False),
    sa.Column("capability_version", sa.Integer, nullable=False),
    sa.Column("is_ephemeral", sa.Boolean, nullable=False),
    sa.Column("is_authorized", sa.Boolean, nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("last_seen", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
)

DELETED_NODES = sa.Table(
    "deleted_nodes",
    METADATA,
    sa.Column("node_key", sa.Text, primary_key=True),
    sa.Column("machine_key", sa.Text, nullable=False),
    sa.Column("node_id", _ID, nullable=False),
    sa.Column("deleted_at", UtcTime, nullable=False),
)

API_KEYS = _table(
    "api_keys",
    sa.Column("prefix", sa.Text, nullable=False, unique=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("last_used_at", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
)

OAUTH_CLIENTS = _table(
    "oauth_clients",
    sa.Column("prefix", sa.Text, nullable=False, unique=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

OAUTH_TOKENS = _table(
    "oauth_tokens",
    sa.Column("prefix", sa.Text, nullable=False, unique=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column(
        "client_id", _ID, sa.ForeignKey("oauth_clients.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

POLICY_VERSIONS = _table(
    "policy_versions",
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

SETTINGS = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)

AUDIT_LOG = _table(
    "audit_log",
    sa.Column("at", UtcTime, nullable=False, index=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)
