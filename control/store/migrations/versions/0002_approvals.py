"""Tell what the policy approved from what a person did; let keys pass by approval; settings.

Routes that were approved before count as a person's, so that no change of owner takes them away.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and the table of settings."""
    op.add_column("nodes", sa.Column("policy_routes", sa.JSON, nullable=False, server_default="[]"))
    op.add_column(
        "auth_keys",
        sa.Column("is_preauthorized", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
