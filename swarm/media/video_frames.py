"""What a video file looks like, seen by a confined child process (see `engine/apart/video_frames.py`). Blocking."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

from PIL import Image

from swarm.base.errors import BadInput
from swarm.base.paths import open_itself
from swarm.base.sandbox import run_confined
from swarm.media.clip import Clip
from swarm.media.formats import thumbnail_size
from swarm.media.image import to_pillow

_MODULE = "swarm.engine.apart.video_frames"
_SECONDS = 60.0
_UNREADABLE = "The video's file is damaged, or of a kind that cannot be read."


def first_seconds(path: Path) -> Clip:
    """Up to five seconds at 6 frames a second, at most 256 pixels on the shorter side. Raises BadInput, OSError."""
    with open_itself(path) as source, tempfile.TemporaryFile() as target:
        files = source.fileno(), target.fileno()
        try:
            result = run_confined(_MODULE, list(map(str, files)), files=files, seconds=_SECONDS)
        except TimeoutError:
            raise BadInput(_UNREADABLE) from None
        target.seek(0)
        head, _, data = target.read().partition(b"\n")
    if result.code != 0 or not data:
        raise BadInput(_UNREADABLE)
    facts = json.loads(head)
    return Clip(width=facts["width"], height=facts["height"], fps=facts["fps"], data=data)


def video_thumbnail(clip: Clip, *, moving: bool) -> bytes:
    """A JPEG of the first frame, or an animated WebP, 128 pixels high."""
    file = io.BytesIO()
    frames = [to_pillow(clip.frame(index)) for index in range(clip.count if moving else 1)]
    if not moving:
        size = thumbnail_size(clip.width, clip.height, 256)
        frames[0].resize(size, Image.Resampling.BILINEAR).save(file, "JPEG", quality=80)
        return file.getvalue()
    width = max(1, round(clip.width * 128 / clip.height))
    small = [frame.resize((width, 128), Image.Resampling.BILINEAR) for frame in frames]
    pause = round(1000 / clip.fps)
    small[0].save(file, "WEBP", save_all=True, append_images=small[1:], duration=pause, loop=0, quality=50, method=0)
    return file.getvalue()
