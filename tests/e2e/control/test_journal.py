"""Request IDs, the access log, counts by route, and errors in the shape of the API asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from control.http.metrics import Metrics
from tests.support.control_server import Control, TestNode, control_config, running_control

if TYPE_CHECKING:
    from pathlib import Path


async def test_every_answer_has_an_id_of_its_own(control: Control) -> None:
    seen = set()
    async with aiohttp.ClientSession(f"{control.url}") as session:
        for path in ("/health", "/key?v=113", "/nothing", "/api/v1/user"):
            async with session.get(path) as answer:
                seen.add(answer.headers["X-Request-Id"])
    assert len(seen) == 4


@pytest.mark.parametrize(("proxies", "is_taken"), [(["127.0.0.0/8"], True), ([], False)])
async def test_id_of_a_proxy_is_taken_only_if_it_is_trusted(
    tmp_path: Path, proxies: list[str], is_taken: bool
) -> None:
    config = control_config(tmp_path, trusted_proxies=proxies)
    async with (
        running_control(config) as control,
        aiohttp.ClientSession(f"{control.url}") as session,
    ):
        async with session.get("/health", headers={"X-Request-Id": "from-the-proxy"}) as answer:
            assert (answer.headers["X-Request-Id"] == "from-the-proxy") is is_taken
        for bad in ("", "a b", "x" * 200, "<script>"):
            async with session.get("/health", headers={"X-Request-Id": bad}) as answer:
                assert answer.headers["X-Request-Id"] != bad


async def test_id_is_in_the_log_and_in_the_error(control: Control) -> None:
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with (
            aiohttp.ClientSession(f"{control.url}") as session,
            session.get(
                "/api/v1/user?secret=hunter2", headers={"Authorization": "Bearer x"}
            ) as answer,
        ):
            told = await answer.json()
    (line,) = [entry for entry in logs if entry["event"] == "request"]
    assert told["requestId"] == answer.headers["X-Request-Id"] == line["request_id"]
    assert (line["route"], line["status"], line["method"]) == ("/api/v1/user", 401, "GET")
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "key"),
    [
        ("GET", "/api/v1/nothing", 404, "application/problem+json", "detail"),
        ("PATCH", "/api/v1/user", 405, "application/problem+json", "detail"),
        ("GET", "/api/v2/nothing", 404, "application/json", "message"),
        ("PUT", "/api/v2/tailnet/-/acl", 405, "application/json", "message"),
    ],
)
async def test_what_the_router_refuses_has_the_apis_shape(
    control: Control, method: str, path: str, status: int, kind: str, key: str
) -> None:
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.request(method, path) as answer,
    ):
        assert (answer.status, answer.content_type) == (status, kind)
        assert (await answer.json())[key]


async def test_fault_of_ours_is_a_500_with_the_id_and_nothing_else(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the-secret-inside")

    monkeypatch.setattr("control.http.site.ServerKeys", fail)
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with (
            aiohttp.ClientSession(f"{control.url}") as session,
            session.get("/key?v=113") as answer,
        ):
            text = await answer.text()
    assert answer.status == 500
    assert "the-secret-inside" not in text
    failed = next(entry for entry in logs if entry["event"] == "request failed")
    assert failed["request_id"] == answer.headers["X-Request-Id"]


async def test_requests_are_counted_by_route_and_not_by_path(control: Control) -> None:
    async with aiohttp.ClientSession(f"{control.url}") as session:
        for path in ("/register/a", "/register/b", "/register/c", "/x", "/y"):
            async with session.get(path):
                pass
    node = TestNode()
    async with node.connected(control) as client:
        await node.join(client, await control.add_auth_key(await control.add_user()))
    text = Metrics(control.server).text().decode()
    for labels, count in (
        ('method="GET",route="/register/{id}",status="404"', "3.0"),
        ('method="GET",route="unmatched",status="404"', "2.0"),
        ('method="POST",route="/machine/register",status="200"', "1.0"),
    ):
        assert f"postern_control_http_requests_total{{{labels}}} {count}" in text
    assert 'postern_control_http_request_seconds_count{route="/register/{id}"} 3.0' in text
