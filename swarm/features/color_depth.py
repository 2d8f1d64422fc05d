"""How many bits each channel of the saved picture has."""

from __future__ import annotations

from typing import Any

from swarm.features.groups import SWARM_INTERNAL_GROUP
from swarm.jobs.acts import Asking, Making, act
from swarm.media.image import Pixels
from swarm.params.kinds import Dropdown

COLOR_DEPTH = Dropdown(
    name="Color Depth",
    description="Bits per channel of PNG files; other formats have 8 whatever is chosen.",
    default="8bit",
    values=lambda _choices: (
        ("8bit", "8-bit per channel (24-bit total)"),
        ("16bit", "16-bit per channel (48-bit total)"),
    ),
    ignore_if="8bit",
    group=SWARM_INTERNAL_GROUP,
    priority=1.5,
    advanced=True,
)


@act(order=95, when=COLOR_DEPTH)
def deepen(making: Making) -> Asking:
    """The finished picture at its full depth; a clip keeps its own."""
    if making.job.input.get(COLOR_DEPTH) != "16bit" or making.clip is not None:
        return
    image = yield from making.as_image()
    making.clip, making.image = deep_pixels(image), None


def deep_pixels(image: Any) -> Pixels:
    """An image (1, 3 or 4, H, W), 0 to 1, as pixels with 16 bits a channel."""
    levels = (image[0].permute(1, 2, 0).double() * 65535.0).clamp(0, 65535).floor()
    data = levels.cpu().numpy().astype(">u2").tobytes()
    mode = "RGBA16" if image.shape[1] == 4 else "RGB16"
    return Pixels(width=image.shape[-1], height=image.shape[-2], mode=mode, data=data)
