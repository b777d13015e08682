"""A server for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.control_server import Control, control_config, running_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with running_control(control_config(tmp_path)) as running:
        yield running
