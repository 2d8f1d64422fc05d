"""Metadata text inside files: a `parameters` chunk in PNG, the EXIF UserComment in JPEG and WEBP (swarm-t2i 6.4).

Reading walks the file's structure and never decodes a pixel; anything damaged or oversized reads as "no text".
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from swarm.media.exif import read_exif_text

MAX_TEXT_BYTES = 4 * 1024 * 1024
"""Longer text is not read: no generation needs it, and a list of pictures must not load gigabytes."""

_MAX_CHUNKS = 100_000
_PNG_HEADER_END = 33


def png_with_text(png: bytes, text: str) -> bytes:
    """The PNG with `text` in a tEXt chunk `parameters` right after its header."""
    body = b"tEXtparameters\0" + _ascii(text).encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_HEADER_END] + chunk + png[_PNG_HEADER_END:]


def _ascii(text: str) -> str:
    """Non-ASCII characters as JSON escapes (the text is JSON): tEXt holds Latin-1 only."""
    if text.isascii():
        return text
    units = memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(chr(unit) if unit < 128 else f"\\u{unit:04x}" for unit in units)


def read_metadata(file: BinaryIO) -> str | None:
    """The metadata text in a PNG, JPEG or WEBP file; None when there is none or the file is something else."""
    start = file.read(12)
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        file.seek(8)
        return _from_png(file)
    if start[:3] == b"\xff\xd8\xff":
        file.seek(2)
        return _from_jpeg(file)
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return _from_webp(file)
    return None


def _from_png(file: BinaryIO) -> str | None:
    """The `parameters` text if there is one, else what an EXIF chunk says."""
    exif = b""
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IEND":
            break
        length, kind = struct.unpack(">I", header[:4])[0], header[4:]
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf") and length <= MAX_TEXT_BYTES:
            body = file.read(length)
            file.seek(4, 1)
            if kind == b"eXIf":
                exif = body
            elif text := _parameters(kind, body):
                return text
        else:
            file.seek(length + 4, 1)
    return read_exif_text(exif) if exif else None


def _parameters(kind: bytes, body: bytes) -> str | None:
    """The text of a PNG text chunk whose keyword is `parameters` in any case."""
    keyword, _, rest = body.partition(b"\0")
    if keyword.lower() != b"parameters":
        return None
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        return _inflate(rest[1:], "latin-1")
    text = rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
    return _inflate(text, "utf-8") if rest[:1] == b"\1" else text.decode("utf-8", "replace")


def _inflate(data: bytes, encoding: str) -> str | None:
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES).decode(encoding, "replace")
    except zlib.error:
        return None


def _from_jpeg(file: BinaryIO) -> str | None:
    for _ in range(_MAX_CHUNKS):
        header = file.read(4)
        if len(header) < 4 or header[0] != 0xFF or header[1] == 0xDA:
            return None
        length = struct.unpack(">H", header[2:])[0] - 2
        if length < 0:
            return None
        if header[1] == 0xE1:
            body = file.read(length)
            if body.startswith(b"Exif\0\0"):
                return read_exif_text(body)
        else:
            file.seek(length, 1)
    return None


def _from_webp(file: BinaryIO) -> str | None:
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        length = struct.unpack("<I", header[4:])[0]
        if header[:4] == b"EXIF":
            return read_exif_text(file.read(length)) if length <= MAX_TEXT_BYTES else None
        file.seek(length + length % 2, 1)
    return None
