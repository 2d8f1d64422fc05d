"""Metadata hidden in the lowest bits of the pixels, so that it survives tools that strip chunks (swarm-t2i 6.4).

Bits: an ASCII signature, the length of the payload in bits (32, big-endian), the gzipped UTF-8 text; most significant
bit first, column by column.
"""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np
import numpy.typing as npt

from swarm.media.image import Pixels

_SIGNATURES = {"Alpha": b"stealth_pngcomp", "RGB": b"stealth_rgbcomp"}
_MAX_TEXT_BYTES = 4 * 1024 * 1024
_HEAD_BITS = 15 * 8 + 32

Bytes = npt.NDArray[np.uint8]


def hide(pixels: Pixels, text: str, channel: str, *, keep_alpha: bool = False) -> Pixels:
    """`pixels` with `text` in the lowest bits of `channel` (`Alpha` or `RGB`); unchanged when it does not fit.

    `keep_alpha`: make the last column slightly transparent, so that an encoder does not drop the alpha channel.
    """
    payload = gzip.compress(text.encode("utf-8", "replace"), mtime=0)
    message = _SIGNATURES[channel] + (len(payload) * 8).to_bytes(4, "big") + payload
    bits = np.unpackbits(np.frombuffer(message, np.uint8))
    image = _array(pixels, alpha=channel == "Alpha" or pixels.mode == "RGBA")
    if channel == "Alpha" and keep_alpha:
        image[:, -1, 3] = 254
    low = _carriers(image, channel)
    if bits.size > low.size:
        return pixels
    low[: bits.size] = (low[: bits.size] & 0xFE) | bits
    _put(image, channel, low)
    return Pixels(
        width=pixels.width, height=pixels.height, mode="RGBA" if image.shape[2] == 4 else "RGB", data=image.tobytes()
    )


def find_hidden(pixels: Pixels) -> str | None:
    """The text hidden in these pixels, if any."""
    for channel, signature in _SIGNATURES.items():
        if channel == "Alpha" and pixels.mode != "RGBA":
            continue
        low = _carriers(_array(pixels, alpha=pixels.mode == "RGBA"), channel) & 1
        head = np.packbits(low[:_HEAD_BITS]).tobytes()
        if head[:15] != signature or len(head) < 19:
            continue
        length = int.from_bytes(head[15:19], "big")
        payload = np.packbits(low[_HEAD_BITS : _HEAD_BITS + length]).tobytes()
        return _unzip(payload)
    return None


def _unzip(payload: bytes) -> str | None:
    try:
        with gzip.open(io.BytesIO(payload)) as file:
            return file.read(_MAX_TEXT_BYTES).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return None


def _array(pixels: Pixels, *, alpha: bool) -> Bytes:
    """A writable (height, width, 3 or 4) array; opaque alpha is added when asked for and missing."""
    flat: Bytes = np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, -1)
    if alpha and flat.shape[2] == 3:
        return np.dstack([flat, np.full(flat.shape[:2], 255, np.uint8)])
    return flat.copy()


def _carriers(image: Bytes, channel: str) -> Bytes:
    """The bytes that carry bits, in the order of the bits: x outer, y inner, then R, G, B."""
    columns = image.transpose(1, 0, 2)
    part = columns[:, :, 3] if channel == "Alpha" else columns[:, :, :3]
    return part.flatten()


def _put(image: Bytes, channel: str, low: Bytes) -> None:
    height, width = image.shape[:2]
    if channel == "Alpha":
        image[:, :, 3] = low.reshape(width, height).T
    else:
        image[:, :, :3] = low.reshape(width, height, 3).transpose(1, 0, 2)
