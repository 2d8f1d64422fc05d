"""Making only a part of a picture anew (swarm-t2i 9.7): latent masks, crops to the mask, putting the result back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swarm.features.groups import ADVANCED_SAMPLING_GROUP, INIT_IMAGE_GROUP, REGIONAL_PROMPTING_GROUP
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_NOISE, NOISE_SEED_OFFSET, noised
from swarm.features.mask import MASK_BEHAVIOR, MASK_BLUR, MASK_GROW, MASK_IMAGE, levels_of, mask_of, prepared
from swarm.features.mask_images import (
    SMALLEST_MARK,
    Box,
    as_picture,
    at_size,
    bounds,
    pasted,
    resized,
    spread,
    working_size,
)
from swarm.features.redraw import told_as
from swarm.features.refiner import OUTPUT_INTERMEDIATE_IMAGES, REFINER_UPSCALE, control, has_to_move
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER
from swarm.features.segment_params import target_resolution
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

_DRAWS_ANEW = "ddim"
"""The sampler whose masked walks lay other noise over what is kept than they start with; from the seed after theirs."""


@stage(Stage.START, order=30, when=MASK_IMAGE)
def mask_the_latent(context: StageContext) -> None:
    """Remember the mask at the latent's size, and give an inpainting model its view of the rest.

    A mask counts for a walk that begins with something. Models that fill (flow models) draw the whole picture, led by
    what they see; the older ones keep what is outside.
    """
    mask = mask_of(context)
    picture = context.input.given(INIT_IMAGE)
    if mask is None or context.result is not None or (picture is None and context.of.latent is None):
        return
    small = at_size(mask, context.latent.shape[-1], context.latent.shape[-2])
    sees_rest = context.tools.inpaint_channels(context.latent, mask) is not None
    grayed = context.latent
    if picture is not None and (sees_rest or context.input.get(USE_INPAINTING_ENCODE)):
        grayed = _without_the_marked(context, picture, mask)
    if sees_rest:
        context.concat = context.tools.inpaint_channels(grayed, mask)
        if context.is_flow:
            return
    context.latent = context.memory["kept"] = grayed
    context.memory["latent_mask"] = small


def _without_the_marked(context: StageContext, picture: Picture, mask: Any) -> Any:
    """The latent of the picture whose marked pixels are gray."""
    image = context.tools.image(picture, width=context.width, height=context.height)
    hole = at_size(mask, image.shape[-1], image.shape[-2]).round()
    return context.tools.encode_tensor((image - 0.5) * (1.0 - hole) + 0.5)


@stage(Stage.BEFORE, order=10, when=MASK_IMAGE)
def keep_the_rest(context: StageContext) -> None:
    """Outside the mask `x` is the original with this step's noise."""
    mask = _mask_at(context)
    if mask is None:
        return
    kept, noise = _there(context, "kept", context.memory["kept"]), _there(context, "noise", _noise(context))
    sigma = context.sigma
    noised = kept * (1.0 - sigma) + noise * sigma if context.is_flow else kept + noise * sigma
    context.x = context.x * mask + noised * (1.0 - mask)


def _noise(context: StageContext) -> Any:
    """What is laid over the part that is kept: the noise the walk starts with, but for one sampler."""
    if context.input.given(SAMPLER) != _DRAWS_ANEW:
        return context.noise
    if "other_noise" not in context.memory:
        import torch

        generator, batch = torch.Generator("cpu").manual_seed((context.of.first_seed + 1) % 2**63), context.batch
        drawn = torch.randn((batch.size, *context.noise.shape[1:]), generator=generator)
        context.memory["other_noise"] = drawn[batch.index : batch.index + 1]
    return context.memory["other_noise"]


@stage(Stage.GUIDE, order=90, when=MASK_IMAGE)
def predict_the_rest(context: StageContext) -> None:
    """Outside the mask the clean latent is known."""
    mask = _mask_at(context)
    if mask is not None:
        context.denoised = context.denoised * mask + _there(context, "kept", context.memory["kept"]) * (1.0 - mask)


def _there(context: StageContext, name: str, tensor: Any) -> Any:
    """A tensor where and as the latent is; taken there once, for a GPU would be waited for at each step."""
    known = context.memory.get(f"{name} there")
    if known is None or known[0] is not tensor:
        known = context.memory[f"{name} there"] = tensor, tensor.to(context.x)
    return known[1]


def _mask_at(context: StageContext) -> Any:
    """The latent mask of this step: whole, or, differentially, what has joined in by now."""
    mask = context.memory.get("latent_mask")
    if mask is None:
        return None
    mask = _there(context, "latent_mask", mask)
    if context.input.get(MASK_BEHAVIOR) != "Differential":
        return mask
    moment = context.tools.timestep
    last = max(context.sigmas[-1], context.tools.sigma_min)
    begin, end = moment(context.sigmas[0]), moment(last)
    passed = (moment(context.sigma) - end) / (begin - end) if begin > end else 0.0
    return (mask >= passed).to(mask)


# -- the area around the mask ------------------------------------------------------------------------------------


def _asks_for_a_part(input: GenerationInput) -> bool:
    return input.given(INIT_IMAGE) is not None and input.given(MASK_IMAGE) is not None


def _whole(input: GenerationInput, seed: int) -> tuple[Any, Any]:
    """The init image, with its noise, and the prepared mask of a request, at the size of its result."""
    width, height = input.get(WIDTH), input.get(HEIGHT)
    picture, mask = input.given(INIT_IMAGE), input.given(MASK_IMAGE)
    assert picture is not None
    assert mask is not None
    prepared_mask = prepared(levels_of(mask, width, height)[:, :1], input)
    image = levels_of(picture, width, height)
    return noised(image, input.get(INIT_IMAGE_NOISE), seed + NOISE_SEED_OFFSET, prepared_mask), prepared_mask


def _area(input: GenerationInput, mask: Any) -> tuple[Box, Any]:
    """The area that is worked on, and what of it is marked."""
    mask = spread(mask, SMALLEST_MARK, 1.0)
    target = target_resolution(input)
    box = bounds(mask, input.get(MASK_SHRINK_GROW), target and target[0] / target[1])
    return box, box.of(mask)


def work_on_the_area(base: Pass) -> Pass:
    """The base walk of a request that crops: the area around the mask, scaled to as many pixels as the model likes."""
    input = base.input
    if input.given(MASK_SHRINK_GROW) is None or not _asks_for_a_part(input):
        return base
    image, mask = _whole(input, base.first_seed)
    box, marked = _area(input, mask)
    file, whole = base.model, (input.get(WIDTH), input.get(HEIGHT))
    width, height = working_size(box, *(target_resolution(input) or (file.width or whole[0], file.height or whole[1])))
    cropped = (
        input.without(MASK_GROW, MASK_BLUR, INIT_IMAGE_NOISE)
        .having(WIDTH, width)
        .having(HEIGHT, height)
        .having(INIT_IMAGE, as_picture(at_size(box.of(image), width, height)))
        .having(MASK_IMAGE, as_picture(marked))
    )
    return replace(base, input=cropped, told=told_as(file, input))


@act(order=9, when=MASK_IMAGE, prepare=work_on_the_area)
def put_back_before_refining(making: Making) -> Asking:
    """The same, where the refine stage works on what it has become."""
    if _comes_before_refining(making):
        yield from _put_back(making)


@act(order=20, when=MASK_IMAGE)
def put_back(making: Making) -> Asking:
    """The result in the original picture: everywhere but in the mask the original stays as it was."""
    if not _comes_before_refining(making):
        yield from _put_back(making)


def _comes_before_refining(making: Making) -> bool:
    """Where the refine stage begins with pixels, or works on more than was walked over."""
    input = making.job.input
    if control(input) is None:
        return False
    is_looked_at = input.get(OUTPUT_INTERMEDIATE_IMAGES) or input.get(REFINER_UPSCALE) != 1.0
    return is_looked_at or input.given(MASK_SHRINK_GROW) is not None or has_to_move(making)


def _put_back(making: Making) -> Asking:
    input = making.job.input
    is_part = input.given(MASK_SHRINK_GROW) is not None
    if not _asks_for_a_part(input) or not (is_part or input.get(RECOMPOSITE_MASK)):
        return
    original, mask = _whole(input, making.job.seeds[0])
    box = Box(0, 0, original.shape[-1], original.shape[-2])
    made = (yield from making.as_image())[:, :3]
    if is_part:
        box, mask = _area(input, mask)
    if is_part or made.shape[-2:] != original.shape[-2:]:
        made = resized(made, box.width, box.height)
    soft, correction = input.get(MASK_COMPOSITE_UNTHRESHOLDED), input.get(COLOR_CORRECTION)
    making.image = pasted(original, made, box, mask, soft=soft, correction=correction)
