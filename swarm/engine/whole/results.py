"""What a pipeline hands back, as pixels or as a clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from swarm.base.errors import BadInput, Refused
from swarm.media.clip import Clip
from swarm.media.image import Pixels, from_pillow


def result_of(output: Any, fps: float) -> Pixels | Clip:
    """The first picture or clip of a pipeline's output. Raises BadInput when it makes something else, Refused when
    the model overflowed."""
    frames = getattr(output, "frames", None)
    if frames is not None and len(frames):
        return _clip(frames[0], fps)
    images = getattr(output, "images", None)
    if images is None or not len(images):
        raise BadInput("This model makes something other than pictures and videos.")
    return _pixels(images[0])


def _clip(frames: Any, fps: float) -> Clip:
    """Frames as Pillow images or as an array (frames, height, width, 3), 0 to 1."""
    if isinstance(frames[0], Image.Image):
        levels = np.stack([np.asarray(frame.convert("RGB")) for frame in frames])
    else:
        levels = _levels(np.asarray(frames))
    return Clip(width=levels.shape[2], height=levels.shape[1], fps=fps, data=levels.tobytes())


def _pixels(image: Any) -> Pixels:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(_levels(image))
    if not isinstance(image, Image.Image):
        raise BadInput("This model makes something other than pictures and videos.")
    return from_pillow(image if image.mode == "RGBA" else image.convert("RGB"))


def _levels(values: Any) -> Any:
    """0 to 1 as 0 to 255. Raises Refused for what is no number."""
    if values.dtype == np.uint8:
        return values
    if np.isnan(values).any():
        raise Refused("The model's numbers went out of range, so there is no picture. Try other settings.")
    return (values * 255.0).round().clip(0, 255).astype(np.uint8)
