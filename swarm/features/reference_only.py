"""Reference only: the picture in the making looks at the prompt's pictures while it looks at itself (swarm-t2i 9.10).

UNet models need nothing trained for it: their self-attention reads the references' keys and values beside their own.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from swarm.base.errors import BadInput
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.prompt_images import PROMPT_IMAGES
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.media.image import Picture
from swarm.params.kinds import Boolean

USE_REFERENCE_ONLY = Boolean(
    name="Use Reference Only",
    description="Has the picture look at the prompt's pictures as it looks at itself. UNet models only; every picture "
    "takes as much time again as it makes a step.",
    ignore_if="false",
    group=IMAGE_PROMPTING_GROUP,
    priority=10.0,
    advanced=True,
)

_IN_EXTRA = "reference_only"
_NETWORK = "unet"


@dataclass(frozen=True, kw_only=True, eq=False)
class LookedAt:
    """Pictures to look at: clean `latents` (n, C, h, w) of the walk's size, and the `noise` laid on them, as large."""

    latents: Any
    noise: Any


def looked_at_in(told: Conditioning) -> LookedAt | None:
    """The pictures that a conditioning has the network look at."""
    return next((value for name, value in told.extra.items() if name.startswith(_IN_EXTRA)), None)


@stage(Stage.ENCODE, order=82, when=USE_REFERENCE_ONLY)
def look_at_prompt_images(context: StageContext) -> None:
    """The prompt's pictures beside both prompts; in the first walk only."""
    pictures = context.input.get(PROMPT_IMAGES)
    if not context.input.get(USE_REFERENCE_ONLY) or not pictures or context.of.name != "base":
        return
    if context.tools.architecture.adapter != _NETWORK:
        raise BadInput(
            f"Reference Only cannot be used with {context.tools.architecture.name} models. Switch it off, or choose a "
            "Stable Diffusion 1, 2 or XL model."
        )
    known = context.memory.get(_IN_EXTRA)
    if known is None:
        known = context.memory[_IN_EXTRA] = _looked_at(context, pictures)
    # Only rows that look at as many pictures can share a call, which the name sees to.
    extra = {f"{_IN_EXTRA} {len(pictures)}": known}
    context.positive = [replace(one, extra={**one.extra, **extra}) for one in context.positive]
    context.negative = [replace(one, extra={**one.extra, **extra}) for one in context.negative]


def _looked_at(context: StageContext, pictures: tuple[Picture, ...]) -> LookedAt:
    import torch

    size = context.width, context.height
    latents = torch.cat([context.tools.encode_tensor(_cut(picture, size)) for picture in pictures])
    # Noise of their own: with the walk's, every place would find itself in them while there is little else to see.
    generator = torch.Generator("cpu").manual_seed((context.seed + 1) % 2**63)
    return LookedAt(latents=latents, noise=torch.randn(latents.shape, generator=generator))


def _cut(picture: Picture, size: tuple[int, int]) -> Any:
    """A picture as (1, 3, H, W), 0 to 1, cut to the shape of `size` and scaled to it."""
    import torch

    with Image.open(io.BytesIO(picture.data)) as opened:
        fitted = ImageOps.fit(opened.convert("RGB"), size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted, dtype=np.float32) / 255.0).permute(2, 0, 1)[None]
