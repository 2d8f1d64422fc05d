"""ControlNets: networks beside the model that hold it to a guiding picture, in three slots (swarm-t2i 9.9)."""

from __future__ import annotations

import hashlib
from typing import Any

from swarm.access.permissions import PARAM_CONTROLNET
from swarm.base.errors import BadInput
from swarm.features.controlnet_slots import (
    AUTO,
    CONTROLNET_STRENGTH,
    CONTROLNET_THREE_STRENGTH,
    CONTROLNET_TWO_STRENGTH,
    NONE,
    ONE,
    PREPROCESSORS,
    THREE,
    TWO,
    Slot,
)  # fmt: skip
from swarm.features.init_image import INIT_IMAGE
from swarm.features.preprocessors.preprocessor import Preprocessor
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Control, Stage, StageContext, stage
from swarm.media.image import Drawn, Picture, Pixels
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean

_BY_ORDER = sorted(PREPROCESSORS.values(), key=lambda each: each.order)
_MULTIPLE = 8
NO_IMAGE = "Must specify either a ControlNet Image, or Init image. Or turn off ControlNet if not wanted."
NO_MODEL = "Cannot use ControlNet without a model selected."
NO_PREPROCESSOR = "Cannot preview a ControlNet preprocessor without any preprocessor enabled."


CONTROLNET_PREVIEW_ONLY = Boolean(
    name="ControlNet Preview Only",
    description="Answers with the prepared guiding picture instead of a picture made from it.",
    ignore_if="false",
    permission=PARAM_CONTROLNET,
    flags=("controlnet",),
    visible=False,
    priority=10.0,
)


def preprocessor_of(input: GenerationInput, slot: Slot) -> str:
    """How a slot's picture is prepared, `None` for not at all; guessed from the model's name if nothing is said."""
    said = input.given(slot.preprocessor)
    if said is not None:
        return said
    name = input.get(slot.model).lower()
    return next((each.id for each in _BY_ORDER if any(word in name for word in each.words)), NONE)


def guide_of(input: GenerationInput, slot: Slot) -> Picture:
    """A slot's picture. Raises BadInput when there is none to fall back on."""
    fallback = input.given(INIT_IMAGE)
    first = input.given(ONE.image) or fallback
    found = input.given(slot.image) or first
    if found is None:
        raise BadInput(NO_IMAGE)
    return found


def _known(preprocessor: str) -> Preprocessor:
    found = PREPROCESSORS.get(preprocessor)
    if found is None:
        raise BadInput(f"There is no ControlNet preprocessor '{preprocessor}'.")
    return found


def annotator(kind: str) -> str:
    """Where the job carries the file of a preprocessor's network (`Job.files`)."""
    return f"annotator:{kind}"


def _needed(input: GenerationInput, slot: Slot, files: Files) -> dict[str, ModelFile]:
    """The files that a slot's preprocessor works with. Raises BadInput."""
    guide_of(input, slot)
    preprocessor = preprocessor_of(input, slot)
    found = {} if preprocessor == NONE else _known(preprocessor).files(files)
    return {annotator(kind): file for kind, file in found.items()}


@need(when=CONTROLNET_STRENGTH)
def first_preprocessor(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """What the first slot is prepared with."""
    return Found(parts={}, files=_needed(input, ONE, files))


@need(when=CONTROLNET_TWO_STRENGTH)
def second_preprocessor(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """What the second slot is prepared with."""
    return Found(parts={}, files=_needed(input, TWO, files))


@need(when=CONTROLNET_THREE_STRENGTH)
def third_preprocessor(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """What the third slot is prepared with."""
    return Found(parts={}, files=_needed(input, THREE, files))


@stage(Stage.START, order=25, when=CONTROLNET_PREVIEW_ONLY)
def preview_the_guide(context: StageContext) -> None:
    """Answer with what the first ControlNet would be shown."""
    if not context.input.get(CONTROLNET_PREVIEW_ONLY) or not context.input.has(CONTROLNET_STRENGTH):
        return
    if preprocessor_of(context.input, ONE) == NONE:
        raise BadInput(NO_PREPROCESSOR)
    hint = _hint(context, ONE)
    levels = (hint[0].permute(1, 2, 0) * 255.0).round().byte().cpu().contiguous().numpy()
    height, width, _ = levels.shape
    context.result = Pixels(width=width, height=height, mode="RGB", data=levels.tobytes())


@stage(Stage.START, order=50, when=CONTROLNET_STRENGTH)
def control_first(context: StageContext) -> None:
    """Hold the walk to the first guiding picture."""
    _control(context, ONE)


@stage(Stage.START, order=51, when=CONTROLNET_TWO_STRENGTH)
def control_second(context: StageContext) -> None:
    """Hold the walk to the second guiding picture."""
    _control(context, TWO)


@stage(Stage.START, order=52, when=CONTROLNET_THREE_STRENGTH)
def control_third(context: StageContext) -> None:
    """Hold the walk to the third guiding picture."""
    _control(context, THREE)


def _control(context: StageContext, slot: Slot) -> None:
    """Of the walks of a picture only the first is held to it."""
    if context.result is not None or context.of.name != "base":
        return
    input = context.input
    file = context.files.get(slot.model.id)
    if file is None:
        raise BadInput(NO_MODEL)
    guide_of(input, slot)
    if input.get(slot.strength) == 0:
        return
    context.tools.check_control(file)
    control = Control(
        file=file,
        hint=_hint(context, slot),
        strength=input.get(slot.strength),
        start=input.get(slot.start),
        end=input.get(slot.end),
        mode=_union_mode(input, slot),
    )
    context.controls = [*context.controls, control]


def _union_mode(input: GenerationInput, slot: Slot) -> str | None:
    said = input.get(slot.union)
    return None if said == AUTO else said


def _hint(context: StageContext, slot: Slot) -> Any:
    """A slot's picture as its net is shown it: (1, 3, H, W), 0 to 1."""
    picture = guide_of(context.input, slot)
    image = context.tools.image(picture, width=context.width, height=context.height)
    preprocessor = preprocessor_of(context.input, slot)
    if preprocessor == NONE:
        return image

    known = _known(preprocessor)
    files = {kind: file for kind in known.nets if (file := context.files.get(annotator(kind))) is not None}

    def net(kind: str) -> Any:
        if kind not in files:
            raise BadInput(f"The ControlNet preprocessor '{preprocessor}' lacks a file. Start the request anew.")
        return context.tools.network(kind, files[kind])

    def draw() -> Any:
        return _in_multiples(known.draw(image, net))

    if not known.nets or isinstance(picture, Drawn):
        return draw()
    stamps = tuple((file.path, file.stamp) for file in files.values())
    seen = hashlib.sha256(picture.data).digest(), context.width, context.height
    return context.tools.remembered((preprocessor, *stamps, *seen), draw)


def _in_multiples(drawn: Any) -> Any:
    """A picture (1, 1 or 3, H, W) in three channels, its sides cut down to multiples of 8."""
    from torch.nn.functional import interpolate

    size = tuple(max(_MULTIPLE, side // _MULTIPLE * _MULTIPLE) for side in drawn.shape[-2:])
    return (drawn if drawn.shape[-2:] == size else interpolate(drawn, size, mode="bilinear")).expand(1, 3, -1, -1)
