"""The edge behind a real server: raw HTTP and sockets as they arrive from the network."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.client import SwarmClient


def exchange(client: SwarmClient, request: bytes) -> bytes:
    """Send raw bytes on a fresh connection and read until the server is silent or closes."""
    parts = urlsplit(client.base)
    received = b""
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as raw:
        raw.sendall(request)
        raw.settimeout(1.0)
        try:
            while chunk := raw.recv(65536):
                received += chunk
        except TimeoutError:
            pass
    return received


POST = b"POST /API/GetNewSession HTTP/1.1\r\nContent-Type: application/json\r\n"
BAD_REQUESTS = [
    (b"GET / HTTP/1.1\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n", b"421"),
    (POST + b"Host: localhost\r\n\r\n", b"400"),
    (POST + b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"400"),
    (POST + b"Host: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"400"),
    (POST + b"Host: localhost\r\nContent-Length: nine\r\n\r\n{}", b"400"),
    (b"\x16\x03\x01\x00 garbage\r\n\r\n", b"400"),
]


@pytest.mark.parametrize(("request_bytes", "status"), BAD_REQUESTS)
def test_bad_requests_are_refused_and_the_next_one_works(
    client: SwarmClient, request_bytes: bytes, status: bytes
) -> None:
    assert exchange(client, request_bytes).startswith(b"HTTP/1.1 " + status)
    assert len(client.session_id) == 40


def test_a_body_that_ends_early_is_nobodys_loss(client: SwarmClient) -> None:
    assert exchange(client, POST + b"Host: localhost\r\nContent-Length: 99\r\n\r\n{") == b""
    assert len(client.session_id) == 40


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_foreign_pages_get_no_socket(client: SwarmClient, headers: dict[str, str]) -> None:
    address = client.base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers, proxy=None):
        pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["error_id"] == "bad_origin"


def test_a_socket_closes_normally_after_an_error(client: SwarmClient) -> None:
    with client.socket("NoSuchRouteWS") as opened:
        assert "Sec-WebSocket-Extensions" not in opened.response.headers  # type: ignore[union-attr]
        opened.send(json.dumps({"session_id": client.session_id}).encode())
        assert json.loads(opened.recv()) == {"error": "Unknown API route.", "error_id": "bad_route"}
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(timeout=5)
    assert closed.value.rcvd is not None and (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "")


def test_fragments_and_odd_frames(client: SwarmClient) -> None:
    text = json.dumps({"session_id": client.session_id})
    with client.socket("NoSuchRouteWS") as opened:
        opened.send([letter.encode() for letter in text])
        assert json.loads(opened.recv())["error_id"] == "bad_route"
    with client.socket("GenerateText2ImageWS") as opened:
        opened.socket.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(ConnectionClosed):
            opened.recv(timeout=5)
    assert client.post("GetCurrentStatus")["status"]["waiting_gens"] == 0
