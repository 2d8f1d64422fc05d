"""Style models (Flux Redux): the prompt's pictures as further words of the prompt (swarm-t2i 9.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.clip_vision import image_encoder
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.prompt_images import PROMPT_IMAGES
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.kinds import Decimal, Dropdown
from swarm.params.param import Option

NONE, FOLDER = "None", "style_models"
_SUFFIXES = (".safetensors", ".sft")
_ENCODERS = ("sigclip_vision_patch14_384", "siglip_vision_patch14_384", "siglip-so400m-patch14-384")
STYLE_FILE, ENCODER_FILE = "style_model", "style_model_eyes"
"""In `Job.files`."""
_PARAMS: dict[str, Any] = {"group": IMAGE_PROMPTING_GROUP, "view_type": "slider", "depends_on": "usestylemodel"}
_PARAMS |= {"flags": ("comfyui",), "advanced": True, "step": 0.01}


def _style_models(choices: Choices) -> Sequence[Option]:
    names = choices.files(FOLDER, _SUFFIXES)
    return [(NONE, NONE), *((name, name) for name in names)]


USE_STYLE_MODEL = Dropdown(
    name="Use Style Model",
    description="A style model, such as Flux Redux, through which the prompt's pictures are seen.",
    default=NONE,
    values=_style_models,
    ignore_if=NONE,
    group=IMAGE_PROMPTING_GROUP,
    priority=14.0,
    flags=("flux-dev",),
)
STYLE_MODEL_MERGE_STRENGTH = Decimal(
    name="Style Model Merge Strength",
    description="How far the prompt with pictures takes the place of the one without.",
    default=1.0,
    min=0,
    max=1,
    ignore_if="1",
    examples=("0", "0.25", "0.5", "0.75", "1"),
    priority=14.5,
    **_PARAMS,
)
STYLE_MODEL_MULTIPLY_STRENGTH = Decimal(
    name="Style Model Multiply Strength",
    description="What the words that stand for the pictures are multiplied with.",
    default=1.0,
    min=0,
    max=10,
    view_max=2,
    ignore_if="1",
    examples=("0", "0.25", "0.5", "0.75", "1", "2"),
    priority=14.6,
    **_PARAMS,
)
STYLE_MODEL_APPLY_START = Decimal(
    name="Style Model Apply Start",
    description="The share of the steps after which the pictures begin to be heard.",
    default=0.0,
    min=0,
    max=1,
    ignore_if="0",
    examples=("0", "0.2", "0.5"),
    priority=14.7,
    **_PARAMS,
)


@need(when=USE_STYLE_MODEL)
def style_model_files(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The style model and the image encoder it was trained with."""
    if not input.get(PROMPT_IMAGES) or input.get(USE_STYLE_MODEL) == NONE:
        return Found(parts={}, files={})
    name = input.get(USE_STYLE_MODEL)
    style = files.beside(f"{FOLDER}/{name}")
    if style is None:
        raise BadInput(f"The style model '{name}' is no longer in the models folder '{FOLDER}'.")
    eyes = image_encoder(input, files, _ENCODERS)
    if eyes is None:
        raise BadInput(
            f"The style model '{name}' needs the image encoder '{_ENCODERS[0]}.safetensors' in the models folder "
            "'clip_vision'."
        )
    return Found(parts={}, files={STYLE_FILE: style, ENCODER_FILE: eyes})


@stage(Stage.ENCODE, order=58, when=USE_STYLE_MODEL)
def append_prompt_images(context: StageContext) -> None:
    """The prompt's pictures behind its words; of the walks of a picture in the first only."""
    input = context.input
    pictures, style, eyes = input.get(PROMPT_IMAGES), context.files.get(STYLE_FILE), context.files.get(ENCODER_FILE)
    if not pictures or style is None or eyes is None or context.of.name != "base":
        return
    loudness = input.get(STYLE_MODEL_MULTIPLY_STRENGTH) * input.get(STYLE_MODEL_MERGE_STRENGTH)
    if input.get(STYLE_MODEL_MERGE_STRENGTH) == 0:
        return
    words = context.tools.style_words(style, eyes, pictures) * loudness
    start = input.get(STYLE_MODEL_APPLY_START)
    context.positive = [part for one in context.positive for part in _from(one, words, start)]


def _from(told: Conditioning, words: Any, start: float) -> list[Conditioning]:
    """A conditioning that is as it was up to `start` and has the words behind it from there."""
    import torch

    tokens = torch.cat([told.tokens, words.to(told.tokens)], dim=1)
    parts = [replace(told, end=min(told.end, start)), replace(told, tokens=tokens, start=max(told.start, start))]
    return [part for part in parts if part.start < part.end]
