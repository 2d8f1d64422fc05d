"""EXIF blocks, as far as metadata text and resolution need them: written little-endian, read in both byte orders."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = b"Exif\0\0"
MAX_JPEG_BYTES = 65533
"""What fits into one JPEG APP1 segment, prefix included."""

_MODEL = 0x0110
_X_RESOLUTION = 0x011A
_Y_RESOLUTION = 0x011B
_RESOLUTION_UNIT = 0x0128
_EXIF_FOLDER = 0x8769
_USER_COMMENT = 0x9286

_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_SIZES = {1: 1, 2: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, 6: 1, _UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def make_exif(text: str | None, dpi: int = 0) -> bytes:
    """A block with `text` as UserComment and `dpi` as resolution, prefix included; empty when neither is given."""
    entries: list[tuple[int, int, bytes]] = []
    if dpi > 0:
        resolution = struct.pack("<II", dpi, 1)
        entries += [(_X_RESOLUTION, _RATIONAL, resolution), (_Y_RESOLUTION, _RATIONAL, resolution)]
        entries += [(_RESOLUTION_UNIT, _SHORT, struct.pack("<H", 2))]
    if text:
        entries += [(_EXIF_FOLDER, _LONG, b"\0\0\0\0")]
    if not entries:
        return b""
    main = _folder(entries, start=8)
    if text:
        # The pointer is the last entry; its value lies right before the four bytes that end the folder's entry list.
        at = 2 + 12 * len(entries) - 4
        main = main[:at] + struct.pack("<I", 8 + len(main)) + main[at + 4 :]
        comment = b"UNICODE\0" + text.encode("utf-16-le", "surrogatepass")
        main += _folder([(_USER_COMMENT, _UNDEFINED, comment)], start=8 + len(main))
    return PREFIX + b"II*\0" + struct.pack("<I", 8) + main


def _folder(entries: list[tuple[int, int, bytes]], start: int) -> bytes:
    """One TIFF folder that begins at offset `start`: its entries, then the values that are too long for them."""
    listed, stored = struct.pack("<H", len(entries)), b""
    values_at = start + 2 + 12 * len(entries) + 4
    for tag, kind, value in entries:
        count = len(value) // _SIZES[kind]
        if len(value) <= 4:
            listed += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            listed += struct.pack("<HHII", tag, kind, count, values_at + len(stored))
            stored += value + b"\0" * (len(value) % 2)
    return listed + b"\0\0\0\0" + stored


def read_exif_text(block: bytes) -> str | None:
    """The UserComment, else the camera model (some tools hide their metadata there). Damaged blocks read as None."""
    tiff = block.removeprefix(PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return None
    reader = _Reader(tiff, order)
    values = dict(reader.entries(reader.number(4)))
    folder = values.get(_EXIF_FOLDER)
    if folder is not None and len(folder) >= 4:
        values |= dict(reader.entries(struct.unpack(order + "I", folder[:4])[0]))
    if _USER_COMMENT in values:
        return _comment(values[_USER_COMMENT])
    return _plain(values[_MODEL]) if _MODEL in values else None


@dataclass(frozen=True)
class _Reader:
    """Bounds-checked reading of TIFF folders."""

    tiff: bytes
    order: str

    def number(self, at: int) -> int:
        value: int = struct.unpack_from(self.order + "I", self.tiff, at)[0]
        return value

    def entries(self, at: int) -> Iterator[tuple[int, bytes]]:
        """(tag, raw value) of each entry of the folder at `at` that lies inside the block."""
        if at + 2 > len(self.tiff):
            return
        (count,) = struct.unpack_from(self.order + "H", self.tiff, at)
        for index in range(count):
            entry = at + 2 + 12 * index
            if entry + 12 > len(self.tiff):
                return
            tag, kind, items = struct.unpack_from(self.order + "HHI", self.tiff, entry)
            length = _SIZES.get(kind, 0) * items
            start = entry + 8 if length <= 4 else self.number(entry + 8)
            if start + length <= len(self.tiff):
                yield tag, self.tiff[start : start + length]


def _comment(value: bytes) -> str | None:
    """A UserComment's text. UTF-16 in the wrong byte order (by tools that follow the block's) is recognised."""
    code, body = value[:8], value[8:]
    if code == b"UNICODE\0":
        swapped = len(body) >= 2 and body[0] == 0 and body[1] != 0
        return body.decode("utf-16-be" if swapped else "utf-16-le", "replace").strip("\0") or None
    return _plain(body if code in (b"ASCII\0\0\0", bytes(8)) else value)


def _plain(value: bytes) -> str | None:
    return value.decode("utf-8", "replace").strip("\0 ") or None
