"""Binary frames of a ComfyUI socket: previews (swarm-models-backends 5.4). Pure."""

from __future__ import annotations

import json
import struct

from swarm.media.image import Picture

_MIMES = {1: "image/jpeg", 2: "image/png", 3: "image/webp", 4: "image/gif"}
_TEXT, _WITH_METADATA, _BITMAP = 3, 4, 10


def preview_of(frame: bytes) -> Picture | None:
    """The picture in a frame; None for frames of another kind, or damaged ones."""
    if len(frame) < 8:
        return None
    event, kind = struct.unpack(">II", frame[:8])
    if event in (_TEXT, _BITMAP):
        return None
    if event == _WITH_METADATA:
        return _described(frame[8:], kind)
    mime = _MIMES.get(kind & 7 if kind > 2 else kind)
    return Picture(data=frame[8:], mime=mime) if mime and len(frame) > 8 else None


def _described(rest: bytes, length: int) -> Picture | None:
    """`rest`: JSON of `length` bytes that names the type, then the picture."""
    try:
        metadata = json.loads(rest[:length])
    except ValueError:
        return None
    mime = metadata.get("mime_type") or metadata.get("image_type") if isinstance(metadata, dict) else None
    is_picture = isinstance(mime, str) and mime in _MIMES.values() and len(rest) > length
    return Picture(data=rest[length:], mime=str(mime)) if is_picture else None
