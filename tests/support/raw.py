"""Bytes on a connection as no well-behaved client sends them: HTTP requests and WebSocket frames made by hand."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def place(base: str) -> tuple[str, int]:
    """Host and port of a base URL."""
    where = urlsplit(base)
    return where.hostname or "", where.port or 80


def dial(base: str, *, source: str = "", timeout: float = 10.0) -> socket.socket:
    """A bare connection; `source`: the address to call from."""
    return socket.create_connection(place(base), timeout=timeout, source_address=(source, 0) if source else None)


def heard(line: socket.socket, most: int = 4 * 1024 * 1024) -> bytes:
    """Everything until the other side closes, falls silent for the line's timeout, or `most` bytes have come."""
    found = b""
    try:
        while len(found) < most and (data := line.recv(65536)):
            found += data
    except (ConnectionError, TimeoutError):
        pass
    return found


def exchange(base: str, data: bytes, *, timeout: float = 10.0) -> bytes:
    """Send these bytes on a new connection; the answer until it is closed."""
    with dial(base, timeout=timeout) as line:
        with suppress(ConnectionError, TimeoutError):  # it may not want to hear the rest
            line.sendall(data)
        return heard(line)


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer; 0 when there was none."""
    parts = answer.split(b" ", 2)
    return int(parts[1]) if answer.startswith(b"HTTP/1.") and len(parts) > 1 else 0


def head(method: str, target: str, *lines: str, host: str = "localhost") -> bytes:
    """The head of a request, with a Host line and the blank line that ends it."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1")


def upgrade(base: str, target: str, *lines: str, timeout: float = 10.0) -> socket.socket:
    """A WebSocket whose handshake is done. Raises ConnectionError when it was refused."""
    line = dial(base, timeout=timeout)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    wanted = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    line.sendall(head("GET", target, *wanted, *lines))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = line.recv(1)
        if not data:
            break
        answer += data
    if status_of(answer) != 101:
        line.close()
        raise ConnectionError(answer.decode("latin-1"))
    return line


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, reserved: int = 0, length: int = -1
) -> bytes:
    """One frame. `length`: what it claims to be long, -1 for the truth."""
    size = len(payload) if length < 0 else length
    first = (0x80 if fin else 0) | (reserved << 4) | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        start = struct.pack(">BB", first, mask_bit | size)
    elif size < 65536:
        start = struct.pack(">BBH", first, mask_bit | 126, size)
    else:
        start = struct.pack(">BBQ", first, mask_bit | 127, size)
    if not masked:
        return start + payload
    key = os.urandom(4)
    longer = key * (len(payload) // 4 + 1)
    return start + key + bytes(a ^ b for a, b in zip(payload, longer, strict=False))


def close_code(data: bytes) -> int | None:
    """The code of the close frame among what a server sent; None when there is none."""
    at = 0
    while at + 2 <= len(data):
        opcode, size = data[at] & 0x0F, data[at + 1] & 0x7F
        at += 2
        if size == 126:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        elif size == 127:
            size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
        if opcode == CLOSE:
            return int.from_bytes(data[at : at + 2], "big") if size >= 2 else 1005
        at += size
    return None


def until_closed(line: socket.socket) -> bytes:
    """Everything a WebSocket says up to its close frame, which is answered; or until it ends without one."""
    found = b""
    with suppress(ConnectionError, TimeoutError):
        while close_code(found) is None and (data := line.recv(65536)):
            found += data
        line.sendall(frame(CLOSE, struct.pack(">H", 1000)))
    return found
