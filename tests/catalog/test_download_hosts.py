"""The policy of downloads against every spelling of an address that should not be reached."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address

import pytest

from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.outgoing import Outgoing, is_host_of, is_public, split_url
from swarm.catalog.catalog import Catalog
from tests.catalog.download_host import Host, open_door, sends


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("::1", "::", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"),
        *("255.255.255.255", "240.0.0.1", "198.18.0.1"),
    ],
)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.case("T30")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "0", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]
)
async def test_no_spelling_of_this_machine_gets_through(host: Host, catalog: Catalog, name: str) -> None:
    port = host.server.server_port
    strict = Outgoing(ports=None)
    with pytest.raises(UserError) as caught:
        async with strict.get(f"http://{name}:{port}/"):
            pass
    assert caught.value.error_id == "blocked_address"
    assert host.asked == []


@pytest.mark.case("T31", "T34")
@pytest.mark.anyio
async def test_redirects_are_checked_at_every_hop_and_lose_secrets(host: Host) -> None:
    port = host.server.server_port

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/away":
            sends(b"", 302, location=f"http://localhost:{port}/landed")(request)
        else:
            sends(b"fine")(request)

    host.answer = answer
    async with open_door().get(f"{host.url}/away", headers={"Authorization": "Bearer s"}) as answered:
        assert b"".join([chunk async for chunk in answered.body]) == b"fine"
    (_, first), (_, second) = host.asked
    assert first["authorization"] == "Bearer s"
    assert "authorization" not in second
    with pytest.raises(Refused, match="not allowed"):
        async with open_door().get(f"{host.url}/away", hosts=["127.0.0.1"]):
            pass
    only_v4 = Outgoing(allowed=lambda address: address == ip_address("127.0.0.2"), ports=None)
    with pytest.raises(Refused, match="private network"):
        async with only_v4.get(f"{host.url}/away"):
            pass


@pytest.mark.case("T33")
@pytest.mark.parametrize(
    "url",
    [
        *("http://a@127.0.0.1/", "http://huggingface.co@evil/", "gopher://x/", "data:text/plain,x", "http://a b/"),
        *(
            "http://x\r\ny/",
            "http://x\\y/",
            "http:///",
            "https://[::1/",
            "http://x:99999/",
            "http://é/",
            "javascript:1",
        ),
    ],
)
def test_odd_addresses_are_invalid(url: str) -> None:
    with pytest.raises(BadInput, match="Invalid URL"):
        split_url(url)


@pytest.mark.case("T33")
@pytest.mark.anyio
@pytest.mark.parametrize("url", ["http://huggingface.co:22/", "https://huggingface.co.evil.tld/", "http://10.0.0.1/"])
async def test_other_hosts_and_ports_are_refused_unasked(url: str) -> None:
    with pytest.raises(UserError) as caught:
        async with Outgoing().get(url, hosts=["huggingface.co"]):
            pass
    assert caught.value.error_id == "blocked_address"


def test_a_host_stands_for_its_sub_domains_only() -> None:
    assert is_host_of("cdn-lfs.HuggingFace.co.", ["huggingface.co"])
    assert not is_host_of("evilhuggingface.co", ["huggingface.co"])
    assert not is_host_of("x.tld", ["", " "])
    assert is_host_of("x.tld", ["*"])
