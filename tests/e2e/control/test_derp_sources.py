"""Relays from URLs and files: joined, kept while a source fails, and told to nodes when new."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from control.cli import main
from control.config import Derp
from control.config.derp import DerpNodeConfig, DerpRegionConfig
from control.derp_sources import DerpSources
from control.errors import InvalidRequestError
from control.wire import DerpNode, DerpRegion
from tests.support.control_server import TestNode, control_config, running_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from control.wire import DerpMap


def shown(*numbers: int) -> dict[str, Any]:
    """Return a map as a URL has it."""
    return {
        "Regions": {
            str(n): {
                "RegionID": n,
                "RegionCode": "url",
                "Nodes": [{"Name": f"{n}a", "HostName": "h"}],
            }
            for n in numbers
        }
    }


@dataclass(slots=True)
class Publisher:
    """Serves a map on loopback."""

    body: bytes = b""
    status: int = 200
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/map?token=secret"

    def publish(self, value: dict[str, Any]) -> None:
        self.body, self.status = json.dumps(value).encode(), 200

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.body, status=self.status)


@asynccontextmanager
async def publishing() -> AsyncIterator[Publisher]:
    publisher, app = Publisher(), web.Application()
    app.router.add_get("/map", publisher.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    publisher.port = runner.addresses[0][1]
    try:
        yield publisher
    finally:
        await runner.cleanup()


def codes(derp_map: DerpMap | None) -> dict[int, str]:
    assert derp_map is not None
    return {n: region.region_code for n, region in (derp_map.regions or {}).items() if region}


async def test_later_sources_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    node = "nodes: [{name: a, hostname: h, ipv4: none}]"
    first.write_text(f"regions:\n  1: null\n  3: {{regioncode: first, {node}}}\n  4: null\n")
    second.write_text(f"regions:\n  3: {{regionid: 3, regioncode: second, {node}}}\n")
    relay = DerpNodeConfig(name="5a", host_name="h")
    region = DerpRegionConfig(id=5, code="own", nodes=(relay,))
    async with publishing() as publisher:
        publisher.publish(shown(1, 2, 3, 5, 999))
        derp = Derp(urls=(publisher.url,), paths=(first, second), regions=(region,))
        embedded = DerpRegion(region_id=999, region_code="embedded")
        found = await DerpSources(derp, embedded).start()
    assert codes(found) == {2: "url", 3: "second", 5: "own", 999: "embedded"}
    assert found.omit_default_regions
    third = (found.regions or {})[3]
    assert third is not None
    assert third.nodes == (DerpNode(name="a", region_id=3, host_name="h", ipv4="none"),)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "answered 404"),
        (200, b"<html>", "no DERP map in JSON"),
        (200, b"\xff", "no DERP map in JSON"),
        (200, b"[" * 100_000, "no DERP map in JSON"),
        (200, b'{"Regions": {"1": {"RegionID": 2}}}', "RegionID: expected 1"),
        (200, b'{"Regions": {"1": null}}', "without relays"),
        (200, b" " * (1 << 20) + b"{}", "more than"),
    ],
)
async def test_url_that_fails_keeps_the_last_good_map(
    status: int, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with publishing() as publisher:
        publisher.publish(shown(7))
        sources = DerpSources(Derp(urls=(publisher.url,)))
        await sources.start()
        publisher.status, publisher.body = status, body
        await sources.refresh()
        assert codes(sources.joined()) == {7: "url"}
        logged = capsys.readouterr().out
        assert said in logged
        assert f"http://127.0.0.1:{publisher.port}/map" in logged
        assert "secret" not in logged
        publisher.publish(shown(8))
        await sources.refresh()
        assert codes(sources.joined()) == {8: "url"}


async def test_nodes_are_told_of_other_relays(tmp_path: Path) -> None:
    path = tmp_path / "derp.yaml"
    path.write_text("regions: {2: {regioncode: file, nodes: [{name: a, hostname: h}]}}")
    async with publishing() as publisher:
        publisher.publish(shown(1))
        derp = {"urls": [publisher.url], "paths": [str(path)], "update_frequency": "1s"}
        async with running_control(control_config(tmp_path, derp=derp)) as control:
            node, key = TestNode(), await control.add_auth_key(await control.add_user())
            async with node.connected(control) as client:
                await node.join(client, key)
                stream = node.stream(client)
                await stream.next()
                assert codes(stream.held.derp_map) == {1: "url", 2: "file"}
                # A file that is broken while it is written says nothing.
                path.write_text("regions: {2: {regioncode: ")
                publisher.publish(shown(1, 3))
                await stream.until(lambda n: codes(n.derp_map) == {1: "url", 2: "file", 3: "url"})
                path.write_text("regions: {1: null}")
                await stream.until(lambda n: codes(n.derp_map) == {3: "url"})


async def test_url_that_never_answered_is_asked_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.derp_sources._RETRY_S", 0.05)
    async with publishing() as publisher:
        publisher.status = 503
        derp = {"urls": [publisher.url], "auto_update_enabled": False}
        async with running_control(control_config(tmp_path, derp=derp)) as control:
            node, key = TestNode(), await control.add_auth_key(await control.add_user())
            async with node.connected(control) as client:
                await node.join(client, key)
                stream = node.stream(client)
                await stream.next()
                assert codes(stream.held.derp_map) == {}
                publisher.publish(shown(1))
                await stream.until(lambda n: codes(n.derp_map) == {1: "url"})


async def test_nothing_is_read_again_where_updates_are_off() -> None:
    async with publishing() as publisher:
        publisher.publish(shown(1))
        sources = DerpSources(Derp(urls=(publisher.url,), auto_update_enabled=False))
        await sources.start()
        async with asyncio.timeout(60):
            await sources.run(lambda _: pytest.fail("there is nothing new"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("regions: {", "no DERP map in YAML"),
        ("regions: {1: {nodes: [{name: a}]}}", r"Regions\[1\].Nodes\[0\]: Name and HostName"),
    ],
)
async def test_file_that_cannot_be_read_stops_the_start_and_is_named(
    tmp_path: Path, text: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "derp.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidRequestError, match=rf"derp.paths: .*derp.yaml: .*{said}"):
        await DerpSources(Derp(paths=(path,))).start()
    (tmp_path / "control.yaml").write_text(f"derp: {{paths: [{path}]}}")
    assert main(["configtest", "-c", str(tmp_path / "control.yaml")]) == 1
    assert "derp.paths: " in capsys.readouterr().err
