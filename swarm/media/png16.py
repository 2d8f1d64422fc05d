"""PNG files with 16 bits a channel, which Pillow cannot write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from swarm.base.errors import BadInput
from swarm.media.image import Pixels

DEEP_MODES: Mapping[str, int] = MappingProxyType({"RGB16": 2, "RGBA16": 6})
"""PNG's colour types of the pixel modes with 16 bits a channel."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2
_LEVEL = 1
_INCHES_PER_METRE = 1 / 0.0254


def deep_png(pixels: Pixels, dpi: int = 0) -> bytes:
    """The file. `dpi`: recorded when above 0. Raises BadInput for other modes and for data of another length."""
    colours = DEEP_MODES.get(pixels.mode)
    row = pixels.width * 2 * (4 if colours == DEEP_MODES["RGBA16"] else 3)
    if colours is None or len(pixels.data) != row * pixels.height or not pixels.data:
        raise BadInput(f"These are no pixels with 16 bits a channel: {pixels.mode}.")
    rows = np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, row)
    filtered = np.empty((pixels.height, row + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", pixels.width, pixels.height, 16, colours, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if dpi > 0:
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *[round(dpi * _INCHES_PER_METRE)] * 2, 1)))
    chunks += [_chunk(b"IDAT", zlib.compress(filtered.tobytes(), _LEVEL)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
