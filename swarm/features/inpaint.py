"""Making only a part of a picture anew (swarm-t2i 9.7): latent masks, crops to the mask, putting the result back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from swarm.features.colour_match import matched
from swarm.features.groups import ADVANCED_SAMPLING_GROUP, INIT_IMAGE_GROUP, REGIONAL_PROMPTING_GROUP
from swarm.features.init_image import INIT_IMAGE
from swarm.features.mask import MASK_BLUR, MASK_GROW, MASK_IMAGE, mask_of, prepared
from swarm.features.mask_images import (
    Box,
    as_picture,
    bounds,
    composite_mask,
    pasted,
    resized,
    widened,
    working_size,
)
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER
from swarm.jobs.acts import Asking, Making, act
from swarm.jobs.stage import Pass, Stage, StageContext, stage
from swarm.media.image import Picture
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Dropdown, Integer, fixed

MASK_SHRINK_GROW = Integer(
    name="Mask Shrink Grow",
    description="Works on the marked area only, with this many pixels around it, at the model's own size; the result "
    "is scaled back into its place.",
    default=8,
    max=512,
    examples=("0", "8", "32"),
    group=INIT_IMAGE_GROUP,
    priority=-3.7,
    toggleable=True,
    depends_on="maskimage",
)
RECOMPOSITE_MASK = Boolean(
    name="Init Image Recomposite Mask",
    description="Puts what is outside the mask back from the init image, so that it stays as it was to the pixel.",
    default=True,
    ignore_if="true",
    group=INIT_IMAGE_GROUP,
    priority=-3.4,
    advanced=True,
    depends_on="maskimage",
)
USE_INPAINTING_ENCODE = Boolean(
    name="Use Inpainting Encode",
    description="Grays the marked area out before the picture is encoded, as models made for inpainting expect.",
    ignore_if="false",
    group=INIT_IMAGE_GROUP,
    priority=-3.2,
    advanced=True,
)
MASK_BEHAVIOR = Dropdown(
    name="Mask Behavior",
    description="Differential lets gray areas join in later, the darker the later; Simple Latent blends them evenly.",
    default="Differential",
    values=fixed("Differential", "Simple Latent"),
    group=ADVANCED_SAMPLING_GROUP,
    priority=-3.5,
    advanced=True,
    toggleable=True,
)
COLOR_CORRECTION = Dropdown(
    name="Color Correction Behavior",
    description="Fits the colours of a masked result to the init image by what lies outside the mask.",
    default="None",
    values=fixed("None", "Uniform", "Linear", "Linear2"),
    ignore_if="None",
    group=ADVANCED_SAMPLING_GROUP,
    priority=-3.0,
    advanced=True,
)
MASK_COMPOSITE_UNTHRESHOLDED = Boolean(
    name="Mask Composite Unthresholded",
    description="Blends the result in by the mask's own grays instead of a hard edge.",
    ignore_if="false",
    group=REGIONAL_PROMPTING_GROUP,
    priority=3.0,
    advanced=True,
)

ENCODE_GROWTH = 6
"""Pixels that the mask of an inpainting model is widened by, so that no trace of the old edge is left."""
_DRAWS_ANEW = "ddim"
"""The sampler whose masked walks lay other noise over what is kept than they start with; from the seed after theirs."""


@stage(Stage.START, order=30, when=MASK_IMAGE)
def mask_the_latent(context: StageContext) -> None:
    """Remember the mask at the latent's size, and give an inpainting model its view of the rest."""
    mask = mask_of(context)
    if mask is None or context.result is not None:
        return
    from torch.nn.functional import interpolate

    size = context.latent.shape[-2:]
    context.memory["latent_mask"] = interpolate(mask, size=size, mode="bilinear")
    context.memory["kept"] = context.latent
    picture = context.input.given(INIT_IMAGE)
    if picture is None:
        return
    hole = mask.round()
    wide = widened(hole, ENCODE_GROWTH)
    image = context.tools.image(picture, width=context.width, height=context.height)
    is_inpainter = context.tools.inpaint_channels(context.latent, wide) is not None
    if not is_inpainter and not context.input.get(USE_INPAINTING_ENCODE):
        return
    grayed = context.tools.encode_tensor((image - 0.5) * (1.0 - hole) + 0.5)
    context.latent = context.memory["kept"] = grayed
    context.memory["latent_mask"] = interpolate(wide, size=size, mode="bilinear")
    if is_inpainter:
        context.concat = context.tools.inpaint_channels(grayed, wide)


@stage(Stage.BEFORE, order=10, when=MASK_IMAGE)
def keep_the_rest(context: StageContext) -> None:
    """Outside the mask `x` is the original with this step's noise."""
    mask = _mask_at(context)
    if mask is None:
        return
    kept, noise = context.memory["kept"].to(context.x), _noise(context).to(context.x)
    sigma = context.sigma
    noised = kept * (1.0 - sigma) + noise * sigma if context.is_flow else kept + noise * sigma
    context.x = context.x * mask + noised * (1.0 - mask)


def _noise(context: StageContext) -> Any:
    """What is laid over the part that is kept: the noise the walk starts with, but for one sampler."""
    if context.input.given(SAMPLER) != _DRAWS_ANEW:
        return context.noise
    if "other_noise" not in context.memory:
        import torch

        generator = torch.Generator("cpu").manual_seed((context.seed + 1) % 2**63)
        context.memory["other_noise"] = torch.randn(context.noise.shape, generator=generator)
    return context.memory["other_noise"]


@stage(Stage.GUIDE, order=90, when=MASK_IMAGE)
def predict_the_rest(context: StageContext) -> None:
    """Outside the mask the clean latent is known."""
    mask = _mask_at(context)
    if mask is not None:
        context.denoised = context.denoised * mask + context.memory["kept"].to(context.x) * (1.0 - mask)


def _mask_at(context: StageContext) -> Any:
    """The latent mask of this step: whole, or, differentially, what has joined in by now."""
    mask = context.memory.get("latent_mask")
    if mask is None:
        return None
    mask = mask.to(context.x)
    if context.input.get(MASK_BEHAVIOR) != "Differential":
        return mask
    moment = context.tools.timestep
    last = max(context.sigmas[-1], context.tools.sigma_min)
    begin, end = moment(context.sigmas[0]), moment(last)
    passed = (moment(context.sigma) - end) / (begin - end) if begin > end else 0.0
    return (mask >= passed).to(mask)


# -- the area around the mask ------------------------------------------------------------------------------------


def _opened(picture: Picture, width: int, height: int, mode: str) -> Image.Image:
    with Image.open(io.BytesIO(picture.data)) as image:
        return image.convert(mode).resize((width, height), Image.Resampling.LANCZOS)


def _tensor(image: Image.Image) -> Any:
    import torch

    levels = torch.from_numpy(np.array(image, dtype=np.float32) / 255.0)
    return levels.permute(2, 0, 1)[None]


def _whole(input: GenerationInput) -> tuple[Any, Any]:
    """The init image and the prepared mask of a request, at the size of its result."""
    width, height = input.get(WIDTH), input.get(HEIGHT)
    picture, mask = input.given(INIT_IMAGE), input.given(MASK_IMAGE)
    assert picture is not None
    assert mask is not None
    marked = _tensor(_opened(mask, width, height, "RGB"))[:, :1]
    return _tensor(_opened(picture, width, height, "RGB")), prepared(marked, input)


def _area(input: GenerationInput, mask: Any) -> Box | None:
    margin = input.given(MASK_SHRINK_GROW)
    return None if margin is None else bounds(mask, margin)


def work_on_the_area(base: Pass) -> Pass:
    """The base walk of a request that crops: the area around the mask, scaled to as many pixels as the model likes."""
    input = base.input
    if input.given(MASK_SHRINK_GROW) is None or input.given(INIT_IMAGE) is None or input.given(MASK_IMAGE) is None:
        return base
    image, mask = _whole(input)
    box = _area(input, mask)
    assert box is not None
    file = base.model
    width, height = working_size(box, file.width or input.get(WIDTH), file.height or input.get(HEIGHT))
    cropped = (
        input.without(MASK_GROW, MASK_BLUR)
        .having(WIDTH, width)
        .having(HEIGHT, height)
        .having(INIT_IMAGE, as_picture(resized(box.of(image), width, height)))
        .having(MASK_IMAGE, as_picture(resized(box.of(mask), width, height).expand(-1, 3, -1, -1)))
    )
    return base.with_input(cropped)


@act(order=20, when=MASK_IMAGE, prepare=work_on_the_area)
def put_back(making: Making) -> Asking:
    """The result in the original picture: everywhere but in the mask the original stays as it was."""
    input = making.job.input
    if input.given(INIT_IMAGE) is None or input.given(MASK_IMAGE) is None:
        return
    original, mask = _whole(input)
    box = _area(input, mask)
    if box is None and not input.get(RECOMPOSITE_MASK):
        return
    made = yield from making.as_image()
    box = box or Box(0, 0, original.shape[-1], original.shape[-2])
    piece = resized(made[:, :3], box.width, box.height)
    piece = matched(piece, box.of(original), box.of(mask), input.get(COLOR_CORRECTION))
    soft = input.get(MASK_COMPOSITE_UNTHRESHOLDED)
    making.image = pasted(original, piece, box, composite_mask(mask, soft=soft))
