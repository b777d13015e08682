"""Registrations are limited, and no secret reaches the log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from control.wire import RegisterAuth
from node.session.driver import ControlRefusedError
from tests.support.control_server import TestNode, control_config, running_control

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.control_server import Control


async def test_machine_that_registers_too_often_is_told_to_wait(tmp_path: Path) -> None:
    config = control_config(tmp_path, register_limit={"burst": 2, "per_second": 0.01})
    node = TestNode()
    async with running_control(config) as control, node.connected(control) as client:
        for _ in range(2):
            assert (await client.register(node.login().request)).auth_url
        with pytest.raises(ControlRefusedError, match="429"):
            await client.register(node.login().request)


async def test_no_secret_reaches_the_log(
    control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    key = await control.add_auth_key(await control.add_user(), is_reusable=False)
    node, late = TestNode(), TestNode()
    async with node.connected(control) as client:
        await node.join(client, key)
        await client.register(replace(late.login().request, auth=RegisterAuth(auth_key=key)))
        with pytest.raises(ControlRefusedError):
            await client.fetch("/machine/register", {"NodeKey": "privkey:" + "ab" * 32})
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert "registration refused" in said
    for secret in (
        key.rpartition("-")[2],
        "abab",
        node.key.to_secret_text().removeprefix("privkey:"),
        control.server.control_key.to_secret_text().removeprefix("privkey:"),
    ):
        assert secret not in said
