"""ReVision: what SDXL is told of the prompt as a whole is what CLIP sees in the prompt's pictures (swarm-t2i 9.10)."""

from __future__ import annotations

from dataclasses import replace
from math import cos, pi, sqrt
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.clip_vision import image_encoder
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.prompt_images import PROMPT_IMAGES
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Decimal
from swarm.prompt.sections import split_sections

REVISION_STRENGTH = Decimal(
    name="ReVision Strength",
    description="How strongly the prompt's pictures take the place of the prompt's summary. SDXL only; 0 turns it off.",
    default=0.0,
    min=0,
    max=10,
    step=0.1,
    ignore_if="0",
    view_type="slider",
    group=IMAGE_PROMPTING_GROUP,
    priority=-70.0,
    flags=("sdxl",),
)
REVISION_ZERO_PROMPT = Boolean(
    name="ReVision Zero Prompt",
    description="Silences the words of both prompts while ReVision acts.",
    ignore_if="false",
    group=IMAGE_PROMPTING_GROUP,
    priority=10.0,
    flags=("sdxl",),
)
ENCODER_FILE = "revision_eyes"
"""In `Job.files`."""
_ENCODERS = ("clip_vision_g", "CLIP-ViT-bigG-14-laion2B-39B-b160k")
_FAMILY = "stable-diffusion-xl-v1"
_KEPT = (cos((0.001 + 0.008) / 1.008 * pi / 2) / cos(0.008 / 1.008 * pi / 2)) ** 2
"""What is left of a summary (its share of the variance) at the lowest level of the noise it was trained with."""
_SEED_OFFSET = -10


@need(when=REVISION_STRENGTH)
def revision_files(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The image encoder that sees as SDXL's second text encoder reads."""
    if not input.get(PROMPT_IMAGES) or input.get(REVISION_STRENGTH) <= 0:
        return Found(parts={}, files={})
    eyes = image_encoder(input, files, _ENCODERS)
    if eyes is not None:
        return Found(parts={}, files={ENCODER_FILE: eyes})
    raise BadInput(f"ReVision needs the image encoder '{_ENCODERS[0]}.safetensors' in the models folder 'clip_vision'.")


@stage(Stage.ENCODE, order=55, when=REVISION_STRENGTH)
def see_prompt_images(context: StageContext) -> None:
    """Tell the model what is seen instead of the prompt's summary; silence empty prompts. In the first walk only."""
    input = context.input
    pictures, strength = input.get(PROMPT_IMAGES), input.get(REVISION_STRENGTH)
    if not pictures or strength <= 0 or context.of.name != "base":
        return
    architecture = context.tools.architecture
    if context.tools.family != _FAMILY:
        raise BadInput(
            f"Model type must be SDXL for ReVision (currently is {architecture.name}). Set ReVision Strength to 0 if "
            "you just want IP-Adapter."
        )
    file = context.files.get(ENCODER_FILE)
    if file is None:
        raise BadInput(f"ReVision needs the image encoder '{_ENCODERS[0]}.safetensors' in the folder 'clip_vision'.")
    if ENCODER_FILE not in context.memory:
        context.memory[ENCODER_FILE] = context.tools.image_summary(file, pictures)
    summary = (context.memory[ENCODER_FILE] * sqrt(_KEPT) + _noise(context, len(pictures))) * strength
    silent = input.get(REVISION_ZERO_PROMPT)
    positive, negative = (not split_sections(text).for_base().strip() or silent for text in context.texts)
    context.positive = [
        replace(_heard(one, silent=positive), pooled=_fitting(one, summary)) for one in context.positive
    ]
    context.negative = [_heard(one, silent=negative) for one in context.negative]


def _noise(context: StageContext, count: int) -> Any:
    """The noise that the first of the summary's thousand noise levels has, once for each picture."""
    import torch

    summary = context.memory[ENCODER_FILE]
    generator = torch.Generator("cpu").manual_seed(context.of.first_seed + _SEED_OFFSET)
    drawn = torch.randn(summary.shape, generator=generator).to(summary)
    return drawn * (count * sqrt(1.0 - _KEPT))


def _heard(told: Conditioning, *, silent: bool) -> Conditioning:
    """A conditioning, or one as long and wide that says nothing."""
    if not silent:
        return told
    pooled = None if told.pooled is None else told.pooled * 0.0
    return replace(told, tokens=told.tokens * 0.0, pooled=pooled)


def _fitting(told: Conditioning, summary: object) -> object:
    if told.pooled is None or told.pooled.shape != getattr(summary, "shape", None):
        raise BadInput("The image encoder for ReVision is not CLIP-ViT-bigG, which SDXL was trained with.")
    return summary
