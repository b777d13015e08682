"""wg-quick files: every key, and errors that name the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wgquick.config import (
    TABLE_AUTO,
    TABLE_OFF,
    ConfigError,
    interface_name,
    parse,
    render,
)

SAMPLE = """\
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.0.0.1/24
ListenPort = 51820
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 10.0.0.2/32
Endpoint = 203.0.113.1:51820
"""

EVERY_KEY = """\
# a comment
[interface]
privatekey=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=   # another
ListenPort = 0xCA6C
FwMark = 0x10
Address = 10.0.0.1/24, fd00::1/64
Address = 10.1.0.1
DNS = 10.0.0.53, corp.test
MTU = 1300
Table = off
PreUp = echo %i
PostUp = true
PreDown = true
PostDown = true
SaveConfig = true

[PEER]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
PresharedKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
AllowedIPs = 10.0.0.2/32, fd00::2/128
AllowedIPs = 10.9.8.7/8
Endpoint = [2001:db8::1]:51820
PersistentKeepalive = 25
"""


def test_the_sample_is_read_as_it_stands() -> None:
    config = parse(SAMPLE)
    assert config.interface.listen_port == 51820
    assert str(config.interface.addresses[0]) == "10.0.0.1/24"
    assert config.interface.table == TABLE_AUTO
    assert config.peers[0].endpoint == "203.0.113.1:51820"


def test_every_key_is_understood() -> None:
    interface = parse(EVERY_KEY).interface
    peer = parse(EVERY_KEY).peers[0]
    assert (interface.listen_port, interface.fwmark, interface.mtu) == (51820, 16, 1300)
    assert [str(a) for a in interface.addresses] == ["10.0.0.1/24", "fd00::1/64", "10.1.0.1/32"]
    assert interface.dns == ["10.0.0.53", "corp.test"]
    assert interface.table == TABLE_OFF
    assert (interface.pre_up, interface.post_down) == (["echo %i"], ["true"])
    assert interface.save_config
    assert [str(n) for n in peer.allowed_ips] == ["10.0.0.2/32", "fd00::2/128", "10.0.0.0/8"]
    assert peer.persistent_keepalive_s == 25
    assert peer.preshared_key == interface.private_key


def test_saved_file_reads_back_the_same() -> None:
    first = parse(EVERY_KEY)
    text = render(first, lambda peer: peer.endpoint)
    assert render(parse(text), lambda peer: peer.endpoint) == text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Colour = red", "line 9: Colour: no such key"),
        ("Endpoint = 10.0.0.1", "line 9: Endpoint: expected HOST:PORT"),
        ("Endpoint = ::1:5", "IPv6"),
        ("Endpoint = a:0", "1 to 65535"),
        ("AllowedIPs = 10.0.0.300/32", "line 9: AllowedIPs"),
        ("PersistentKeepalive = 70000", "0 to 65535"),
        ("PublicKey = abc", "32 bytes in base64"),
        ("nonsense", "line 9"),
        ("[Interface]\nMTU = 5", "line 10: MTU"),
        ("[Interface]\nTable = x", "line 10: Table"),
        ("[Interface]\nSaveConfig = yes", "true or false"),
        ("[Peer]", "line 9: this .Peer. has no PublicKey"),
    ],
)
def test_errors_name_the_line(line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(SAMPLE + line + "\n")


def test_a_bad_private_key_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("[Interface]\nPrivateKey = secretsecretsecret\n")
    assert "secretsecret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[Peer]\n", "[Interface]\nMTU = 1400\n", "MTU = 5\n"])
def test_file_without_an_interface_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


@given(st.text())
def test_any_text_is_a_config_or_an_error(text: str) -> None:
    try:
        parse("[Interface]\n" + text)
    except ConfigError as error:
        assert str(error)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 16, "a b"])
def test_bad_interface_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        interface_name(name)
