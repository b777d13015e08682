"""Adapters cover every field: adding one to a record without a column fails here."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from control.store import schema
from control.store.records import (
    ApiKeyRecord,
    AuditEntry,
    AuthKeyRecord,
    NodeRecord,
    PolicyVersion,
    UserRecord,
)
from control.store.rows import node_of_row, node_to_row, user_of_row, user_to_row
from tests.support.records import node_record, user_record


@pytest.mark.parametrize(
    ("record", "table"),
    [
        (UserRecord, schema.USERS),
        (NodeRecord, schema.NODES),
        (AuthKeyRecord, schema.AUTH_KEYS),
        (ApiKeyRecord, schema.API_KEYS),
        (PolicyVersion, schema.POLICY_VERSIONS),
        (AuditEntry, schema.AUDIT_LOG),
    ],
)
def test_record_has_the_columns_of_its_table(record: type[Any], table: Any) -> None:
    assert {item.name for item in fields(record)} == set(table.columns.keys())


def test_node_survives_a_row() -> None:
    assert node_of_row(node_to_row(node_record())) == node_record()


def test_user_survives_a_row() -> None:
    assert user_of_row(user_to_row(user_record())) == user_record()
