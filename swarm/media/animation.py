"""Small moving previews of animated pictures."""

from __future__ import annotations

import io

from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.formats import thumbnail_size
from swarm.media.image import MAX_PIXELS, load, open_image

_MAX_SECONDS = 5.0
_MIN_GAP_MILLISECONDS = 100
_MAX_FRAMES_READ = 600
_MAX_PIXELS_READ = 8 * MAX_PIXELS
"""Over all frames: a preview must not cost minutes."""


def moving_thumbnail(data: bytes, *, side: int = 256, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """An animated WebP (quality 50, at most 5 s, frames at least 100 ms apart) of a GIF or WebP; None for stills.

    Raises BadInput when the picture cannot be read.
    """
    image = open_image(data, max_pixels)
    if not getattr(image, "is_animated", False):
        return None
    size = thumbnail_size(image.width, image.height, side)
    frames, durations = _frames(image, size)
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=50, method=0
    )
    return buffer.getvalue()


def _frames(image: Image.Image, size: tuple[int, int]) -> tuple[list[Image.Image], list[int]]:
    """The frames that are shown, and how long each stays, in milliseconds."""
    frames: list[Image.Image] = []
    durations: list[int] = []
    elapsed = 0.0
    for index in range(min(_MAX_FRAMES_READ, max(1, _MAX_PIXELS_READ // (image.width * image.height)))):
        try:
            image.seek(index)
            frame = load(image)
        except (EOFError, OSError, ValueError, BadInput):
            if not frames:
                raise BadInput("The animation's file is damaged.") from None
            break
        duration = int(image.info.get("duration") or _MIN_GAP_MILLISECONDS)
        elapsed += duration
        if durations and durations[-1] < _MIN_GAP_MILLISECONDS:
            durations[-1] += duration
        else:
            frames.append(frame.resize(size, Image.Resampling.BILINEAR))
            durations.append(duration)
        if elapsed >= _MAX_SECONDS * 1000:
            break
    return frames, durations
