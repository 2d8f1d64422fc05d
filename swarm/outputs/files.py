"""What belongs to a picture's file."""

from __future__ import annotations

from pathlib import Path

METADATA_SUFFIX = ".swarm.json"
SIDECAR_SUFFIXES = (".txt", ".metadata.js", METADATA_SUFFIX, ".swarmpreview.jpg", ".swarmpreview.webp")
"""What may stand beside a picture, in place of its extension (swarm-t2i 7.3)."""

OUTPUT_ENDINGS = (
    *("png", "jpg", "jpeg", "bmp", "tiff", "tif", "avif", "gif", "webp", "mp4", "webm", "mov"),
    *("mp3", "wav", "ogg", "flac", "aac", "txt", "html"),
)
"""What outputs may end in (swarm-t2i 6.3)."""


def sidecar(path: Path, suffix: str = METADATA_SUFFIX) -> Path:
    return path.with_suffix("").with_name(path.stem + suffix)
