"""Reference only: the picture in the making looks at the prompt's picture while it looks at itself (swarm-t2i 9.10).

UNet models need nothing trained for it: their self-attention reads the references' keys and values beside their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.prompt_images import PROMPT_IMAGES
from swarm.features.variation import VARIATION_SEED_STRENGTH
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.media.image import Picture
from swarm.params.kinds import Boolean

USE_REFERENCE_ONLY = Boolean(
    name="Use Reference Only",
    description="Has the picture look at the first of the prompt's pictures as it looks at itself. UNet models only; "
    "takes twice the time.",
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
    found: LookedAt | None = told.extra.get(_IN_EXTRA)
    return found


@stage(Stage.START, order=5, when=USE_REFERENCE_ONLY)
def draw_noise_behind_the_references(context: StageContext) -> None:
    """The references count as pictures before the first of the job: the picture's noise is that of the seed which comes
    after theirs, and so is its part of the noise of steps."""
    references = _references(context)
    context.batch = context.batch.behind(len(references))
    if references and context.input.get(VARIATION_SEED_STRENGTH) == 0:
        context.noise = _noise(context.seed + len(references), context.noise.shape)


@stage(Stage.ENCODE, order=82, when=USE_REFERENCE_ONLY)
def look_at_prompt_images(context: StageContext) -> None:
    """The first of the prompt's pictures beside both prompts; in the first walk only."""
    references = _references(context)
    if not references:
        return
    if context.tools.architecture.adapter != _NETWORK:
        raise BadInput(
            f"Reference Only cannot be used with {context.tools.architecture.name} models. Switch it off, or choose a "
            "Stable Diffusion 1, 2 or XL model."
        )
    known = context.memory.get(_IN_EXTRA)
    if known is None:
        known = context.memory[_IN_EXTRA] = _looked_at(context, references[0])
    context.positive = [replace(one, extra={**one.extra, _IN_EXTRA: known}) for one in context.positive]
    context.negative = [replace(one, extra={**one.extra, _IN_EXTRA: known}) for one in context.negative]


def _references(context: StageContext) -> tuple[Picture, ...]:
    wanted = context.input.get(USE_REFERENCE_ONLY) and context.of.name == "base"
    return context.input.get(PROMPT_IMAGES) if wanted else ()


def _looked_at(context: StageContext, picture: Picture) -> LookedAt:
    image = context.tools.image(picture, width=context.width, height=context.height)
    latents = context.tools.encode_tensor(image)
    return LookedAt(latents=latents, noise=_noise(context.of.first_seed, latents.shape).to(latents))


def _noise(seed: int, shape: Any) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed % 2**64))
