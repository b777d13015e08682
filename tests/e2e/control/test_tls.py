"""Certificates of one's own, those for trials, and proxies that are trusted."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import redirect_stdout
from io import StringIO
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from control.cli import main
from control.config import load_config
from node.proxy.settings import DIRECT, ProxySettings
from node.session.driver import ControlClient, ControlLostError, ControlUrl, fetch_server_key
from node.session.login import Registered
from tests.support.connect_proxy import ConnectProxy, running_proxy
from tests.support.control_server import TestNode, control_config, running_control

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.control_server import Control


def initialise(directory: Path, *more: str) -> dict[str, str]:
    said = StringIO()
    with redirect_stdout(said):
        assert main(["init", str(directory), *more, "-o", "json"]) == 0
    result: dict[str, str] = json.loads(said.getvalue())
    return result


def secured(directory: Path, *more: str) -> tuple[Any, ssl.SSLContext]:
    """Return a configuration with trial certificates, and what a client has to trust."""
    said = initialise(directory, *more)
    tls = yaml.safe_load((directory / "control.yaml").read_text())["tls"]
    context = ssl.create_default_context(cafile=said["authority"])
    return control_config(directory, tls=tls), context


async def join(
    control: Control,
    tls: ssl.SSLContext | None,
    *,
    host: str = "127.0.0.1",
    proxies: ProxySettings = DIRECT,
) -> object:
    url = ControlUrl(
        "https" if control.server.config.tls.cert_path else "http", host, control.server.port
    )
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    server = await fetch_server_key(url, tls=tls, proxies=proxies)
    async with ControlClient.connect(
        url, machine=node.machine, server=server, entropy=bytes_of, tls=tls, proxies=proxies
    ) as client:
        return await node.join(client, key)


def bytes_of(length: int) -> bytes:
    return bytes(range(length))


async def test_node_joins_over_tls_of_the_trial_authority(tmp_path: Path) -> None:
    config, tls = await asyncio.to_thread(secured, tmp_path)
    async with running_control(config) as control:
        assert isinstance(await join(control, tls), Registered)


async def test_client_that_does_not_trust_the_authority_stays_away(tmp_path: Path) -> None:
    config, _ = await asyncio.to_thread(secured, tmp_path)
    async with running_control(config) as control:
        with pytest.raises(ControlLostError, match=r"not trusted .*--trust"):
            await join(control, None)


@pytest.mark.parametrize("has_tls", [True, False])
async def test_node_joins_through_a_mandatory_proxy(tmp_path: Path, has_tls: bool) -> None:
    config, tls = await asyncio.to_thread(secured, tmp_path, "--host", "control.example")
    if not has_tls:
        config = control_config(tmp_path)
    async with running_control(config) as control:
        place = "127.0.0.1", control.server.port
        target = f"control.example:{control.server.port}"
        async with running_proxy(ConnectProxy({target: place}, "ann:secret")) as proxy:
            environment = {"ALL_PROXY": proxy.url("ann:secret")}
            settings = ProxySettings.from_environment(environment)
            joined = await join(control, tls, host="control.example", proxies=settings)
            assert isinstance(joined, Registered)
            # The key and the session, both inside tunnels.
            assert proxy.targets == [target, target]


async def test_proxy_that_refuses_control_is_named_with_what_to_do(tmp_path: Path) -> None:
    config, tls = await asyncio.to_thread(secured, tmp_path, "--host", "control.example")
    async with running_control(config) as control, running_proxy(ConnectProxy()) as proxy:
        settings = ProxySettings.from_environment({"ALL_PROXY": proxy.url("ann:secret")})
        with pytest.raises(ControlLostError, match=r"allow CONNECT to control\.example") as caught:
            await join(control, tls, host="control.example", proxies=settings)
        assert "secret" not in str(caught.value)


def test_trial_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    initialise(tmp_path)
    names = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(names) == {"control.yaml", "ca.pem", "server.pem", "server.key"}
    assert set(names.values()) == {0o600}


def test_printed_fingerprint_is_the_authoritys(tmp_path: Path) -> None:
    said = initialise(tmp_path)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    assert said["fingerprint"] == authority.fingerprint(hashes.SHA256()).hex(":").upper()


def test_trial_certificate_names_the_hosts(tmp_path: Path) -> None:
    initialise(tmp_path, "--host", "control.example.com")
    config = load_config(tmp_path / "control.yaml")
    assert config.server_url == "https://control.example.com:8443"
    certificate = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["control.example.com", "localhost"]


def test_plain_trial_has_no_certificates(tmp_path: Path) -> None:
    initialise(tmp_path, "--plain")
    assert [path.name for path in tmp_path.iterdir()] == ["control.yaml"]
    assert load_config(tmp_path / "control.yaml").server_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("present", ["control.yaml", "server.key"])
def test_second_run_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], present: str
) -> None:
    (tmp_path / present).write_text("kept")
    assert main(["init", str(tmp_path)]) == 1
    assert present in capsys.readouterr().err
    assert (tmp_path / present).read_text() == "kept"


def test_bad_host_is_named_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path), "--host", "a b"]) == 1
    assert "'a b'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("trusted", "forwarded", "statuses"),
    [
        ("127.0.0.1/32", ("198.51.100.1", "198.51.100.2"), [502, 502]),
        ("127.0.0.1/32", ("203.0.113.9, 198.51.100.1", "203.0.113.8, 198.51.100.1"), [502, 429]),
        ("127.0.0.1/32", ("nonsense", "other nonsense"), [502, 429]),
        ("10.0.0.0/8", ("198.51.100.1", "198.51.100.2"), [502, 429]),
    ],
)
async def test_clients_behind_a_trusted_proxy_are_told_apart(
    tmp_path: Path, trusted: str, forwarded: tuple[str, str], statuses: list[int]
) -> None:
    config = control_config(
        tmp_path,
        trusted_proxies=[ip_network(trusted)],
        register_limit={"burst": 1, "per_second": 0.001},
        # Nobody is there: a request that is not held back fails behind the limit.
        oidc={"issuer": "http://127.0.0.1:1", "client_id": "x"},
    )
    node = TestNode()
    async with running_control(config) as control, aiohttp.ClientSession() as session:
        login = control.server.logins.start(node.machine.public, node.login().request, 113)
        seen = []
        for address in forwarded:
            url = f"{control.url}/register/{login.id}"
            async with session.get(url, headers={"X-Forwarded-For": address}) as answer:
                seen.append(answer.status)
    assert seen == statuses
