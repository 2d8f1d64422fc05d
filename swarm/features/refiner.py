"""A second walk over the picture: with another model, larger, or both (swarm-t2i 9.8).

It happens only when the request gives both the method and the control percentage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.groups import REFINE_UPSCALE_GROUP, REFINER_PARAM_OVERRIDES_GROUP, SWARM_INTERNAL_GROUP
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.mask import MASK_IMAGE, going_on
from swarm.features.mask_images import as_pixels
from swarm.features.object_params import OBJECT_CLEANUP, has_objects
from swarm.features.redraw import told_as, without_controls
from swarm.features.resize import LATENT_METHODS, METHODS, scaled, scaled_latent
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import END_STEPS_EARLY, SAMPLER, SCHEDULER
from swarm.features.tiles import USUAL_TILE, sampled_in_tiles, tile_count
from swarm.features.upscalers import PREFIX, UPSCALER, find_upscaler, upscaled_by_model, upscaler_options
from swarm.jobs.acts import Asking, Decode, Encode, Making, Sample, act
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Pass
from swarm.media.image import Pixels
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Decimal, Dropdown, Integer, Model
from swarm.params.param import Option
from swarm.prompt.sections import Section, split_sections

USE_BASE = "(Use Base)"
_METHODS = (
    ("PostApply", "Post-Apply"),
    ("StepSwap", "Step-Swap"),
    ("StepSwapNoisy", "Step-Swap Noisy"),
)
_PARAMS: dict[str, Any] = {"group": REFINE_UPSCALE_GROUP, "flags": ("refiners",), "do_not_preview": True}
_OVERRIDES: dict[str, Any] = {"group": REFINER_PARAM_OVERRIDES_GROUP}


def _upscale_methods(choices: Choices) -> Sequence[Option]:
    pixel = [(f"pixel-{id}", f"Pixel: {name}") for id, name in METHODS.items()]
    latent = [(f"latent-{id}", f"Latent: {name}") for id, name in LATENT_METHODS.items()]
    return [*pixel, *latent, *upscaler_options(choices)]


REFINER_CONTROL = Decimal(
    name="Refiner Control Percentage",
    description="How much of the work the refine stage gets: the share of its steps that run.",
    default=0.2,
    min=0,
    max=1,
    step=0.05,
    examples=("0.2", "0.3", "0.4"),
    priority=-4.0,
    view_type="slider",
    **_PARAMS,
)
REFINER_METHOD = Dropdown(
    name="Refiner Method",
    description="Post-Apply refines the finished picture; Step-Swap hands over on the way, with fresh noise, and "
    "Step-Swap Noisy with the noise that is left.",
    default="PostApply",
    values=lambda _choices: _METHODS,
    priority=-3.0,
    advanced=True,
    **_PARAMS,
)
REFINER_UPSCALE = Decimal(
    name="Refiner Upscale",
    description="How much larger the picture gets before it is refined; 1 leaves it.",
    default=1.0,
    min=0.25,
    max=8,
    view_max=4,
    step=0.25,
    ignore_if="1",
    examples=("1", "1.5", "2"),
    priority=-2.0,
    view_type="slider",
    **_PARAMS,
)
REFINER_UPSCALE_METHOD = Dropdown(
    name="Refiner Upscale Method",
    description="How the picture is made larger: its pixels, its latent, or by a model made for that.",
    default="pixel-lanczos",
    values=_upscale_methods,
    group=REFINE_UPSCALE_GROUP,
    priority=-1.0,
    flags=("comfyui",),
    depends_on="refinerupscale",
)
REFINER_DO_TILING = Boolean(
    name="Refiner Do Tiling",
    description="Refines in tiles of the size the model likes, for pictures far larger than that.",
    ignore_if="false",
    priority=5.0,
    **_PARAMS,
)
REFINER_MODEL = Model(
    name="Refiner Model",
    description="The model that refines; the base model unless another is chosen.",
    default=USE_BASE,
    others=(USE_BASE,),
    ignore_if=USE_BASE,
    subtype="Stable-Diffusion",
    priority=-10.0,
    flags=("refiners",),
    do_not_preview=True,
    **_OVERRIDES,
)
REFINER_VAE = Model(
    name="Refiner VAE",
    description="The VAE of the refine stage, instead of the one in its model.",
    default="None",
    others=("Automatic", "None"),
    ignore_if="None",
    subtype="VAE",
    priority=-9.0,
    flags=("refiners",),
    advanced=True,
    do_not_preview=True,
    **_OVERRIDES,
)
REFINER_STEPS = Integer(
    name="Refiner Steps",
    description="The number of steps that the refine stage takes its share of, instead of Steps.",
    default=40,
    min=1,
    max=200,
    view_max=60,
    examples=("20", "40", "60"),
    priority=-5.0,
    view_type="slider",
    advanced=True,
    toggleable=True,
    **_OVERRIDES,
)
REFINER_CFG_SCALE = Decimal(
    name="Refiner CFG Scale",
    description="How closely the refine stage follows the prompt, instead of CFG Scale.",
    default=7.0,
    min=0,
    max=100,
    view_max=20,
    step=0.5,
    examples=("5", "6", "7", "8", "9"),
    priority=-4.0,
    view_type="slider",
    advanced=True,
    toggleable=True,
    **_OVERRIDES,
)
REFINER_SAMPLER = Dropdown(
    name="Refiner Sampler",
    description="The solver of the refine stage, instead of Sampler.",
    default="euler",
    values=SAMPLER.values,
    priority=-2.0,
    flags=("comfyui",),
    toggleable=True,
    **_OVERRIDES,
)
REFINER_SCHEDULER = Dropdown(
    name="Refiner Scheduler",
    description="The schedule of the refine stage, instead of Scheduler.",
    default="normal",
    values=SCHEDULER.values,
    priority=-1.5,
    flags=("comfyui",),
    toggleable=True,
    **_OVERRIDES,
)
OUTPUT_INTERMEDIATE_IMAGES = Boolean(
    name="Output Intermediate Images",
    description="Hands out the picture as it was before refining, segments or video, too.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-16.0,
    advanced=True,
    aliases=("saveintermediateimages",),
)

SECTIONS = (Section.EVERYWHERE, Section.GLOBAL, Section.REFINER)
"""Whose LoRAs act while the picture is refined."""


def control(input: GenerationInput) -> float | None:
    """The refine stage's share of the work; None when there is to be no refine stage.

    A picture with objects is refined only once a last walk has gone over all of it (swarm-t2i 9.12).
    """
    if has_objects(input) and input.get(OBJECT_CLEANUP) <= 0:
        return None
    return None if input.given(REFINER_METHOD) is None else input.given(REFINER_CONTROL)


def method_of(input: GenerationInput) -> str:
    """How the refine stage takes over; it cannot on the way when objects are drawn in between."""
    return "PostApply" if has_objects(input) else input.get(REFINER_METHOD)


def refiner_steps(input: GenerationInput) -> int:
    """How many steps the whole refine schedule has: the stage's own number, then its section's."""
    return input.given(REFINER_STEPS, section=Section.REFINER) or input.get(STEPS, section=Section.REFINER)


def begins_at(steps: int, share: float) -> int:
    """The step that a share of the work at the end of `steps` begins at."""
    return round(steps * (1.0 - share))


def hand_over(base: Pass) -> Pass:
    """The base walk of a request whose refine stage takes over on the way; one that ends early ends there instead."""
    share, steps = control(base.input), base.input.get(STEPS)
    if share is None or method_of(base.input) == "PostApply":
        return base
    noisy = method_of(base.input) == "StepSwapNoisy"
    if not noisy and base.input.get(END_STEPS_EARLY) > 0:
        return base
    return base.ending(begins_at(steps, share), leaves_noise=noisy)


def _extra_steps(input: GenerationInput) -> int:
    share, steps = control(input), refiner_steps(input)
    if share is None:
        return 0
    handed = 0 if method_of(input) == "PostApply" else begins_at(input.get(STEPS), share) - input.get(STEPS)
    taken = steps - begins_at(steps, share)
    if input.get(REFINER_DO_TILING):
        taken *= tile_count(upscaled(input.get(WIDTH), input), USUAL_TILE)
        taken *= tile_count(upscaled(input.get(HEIGHT), input), USUAL_TILE)
    return taken + handed


@need(when=REFINER_UPSCALE_METHOD)
def upscaler_file(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The model that enlarges, when the refine stage is to use one."""
    method = input.get(REFINER_UPSCALE_METHOD)
    if not method.startswith(PREFIX) or control(input) is None or input.get(REFINER_UPSCALE) == 1.0:
        return Found(parts={}, files={})
    return Found(parts={}, files={UPSCALER: find_upscaler(method, files)})


@act(order=10, when=REFINER_CONTROL, steps=_extra_steps, prepare=hand_over)
def refine(making: Making) -> Asking:
    """Enlarge the picture if that is asked, then walk the last steps again with the refine stage's own settings."""
    input = making.job.input
    share = control(input)
    if share is None:
        return
    if input.get(OUTPUT_INTERMEDIATE_IMAGES):
        yield from _hand_out(making)
    of = refining_pass(making)
    factor, method = input.get(REFINER_UPSCALE), input.get(REFINER_UPSCALE_METHOD)
    kind, _, name = method.partition("-")
    if factor != 1.0 and kind != "latent":
        image = yield from making.as_image()
        size = of.input.get(WIDTH), of.input.get(HEIGHT)
        if kind == "model":
            making.image = yield from upscaled_by_model(image, making.job.files[UPSCALER], *size)
        else:
            making.image = scaled(image, name, *size)
        if share <= 0:
            return
    elif share <= 0 and factor == 1.0:
        return
    if making.image is not None or has_to_move(making):
        image = yield from making.as_image()
        latent = yield Encode(image=image, of=of)
    else:
        latent, of = making.latent, _masked_as(making.base, of)
    if factor != 1.0 and kind == "latent":
        latent, of = _larger(latent, name, factor, of, making)
    if input.get(REFINER_DO_TILING):
        plain = without_controls(of.input).without(MASK_IMAGE)
        answer = yield from sampled_in_tiles(of.with_input(plain), latent)
    else:
        answer = yield Sample(of=of.starting(latent))
    assert not isinstance(answer, Pixels), "a refining walk has no init image to answer with"
    making.base, making.latent, making.image = of, answer, None


def has_to_move(making: Making) -> bool:
    """Whether the refine stage understands other latents than the base walk's."""
    model = making.job.files.get(REFINER_MODEL.id) or making.base.model
    return model.latent_space != making.base.model.latent_space or making.job.input.has(REFINER_VAE)


def _masked_as(base: Pass, of: Pass) -> Pass:
    """The walk, keeping what the base walk has kept: a latent goes with its mask as long as it is none of pixels."""
    return of if base.input.given(INIT_IMAGE) is None else of.with_input(going_on(of.input, base.input))


def _larger(latent: Any, method: str, factor: float, of: Pass, making: Making) -> tuple[Any, Pass]:
    """An enlarged latent, and the walk at its size: that is rounded to whole cells."""
    cells, rows = (round(side * factor) for side in (latent.shape[-1], latent.shape[-2]))
    pixels = making.job.input.get(WIDTH) // latent.shape[-1]
    input = of.input.having(WIDTH, cells * pixels).having(HEIGHT, rows * pixels)
    return scaled_latent(latent, method, cells, rows, of.model.family), of.with_input(input)


def _hand_out(making: Making) -> Asking:
    """The picture as it is, beside the result."""
    if making.image is not None:
        making.extras.append(as_pixels(making.image))
        return
    pixels = yield Decode(latent=making.latent, of=making.base, as_pixels=True)
    making.extras.append(pixels)


def refining_pass(making: Making) -> Pass:
    """The walk of the refine stage, but for the latent it starts from."""
    job, base = making.job, making.base
    input = job.input
    steps, share = refiner_steps(input), input.get(REFINER_CONTROL)
    size = upscaled(input.get(WIDTH), input), upscaled(input.get(HEIGHT), input)
    vae = job.files.get(REFINER_VAE.id)
    model = job.files.get(REFINER_MODEL.id) or base.model
    parts = dict(base.parts) if model.latent_space == base.model.latent_space else {}
    if model is not base.model:
        parts = {slot: part for slot, part in parts.items() if slot == "vae"}
    return Pass(
        input=refiner_input(input, steps, *size),
        model=model,
        seed=base.seed + 1,
        loras=tuple(use for use in job.loras if use.section in SECTIONS),
        parts=parts | ({"vae": vae} if vae else {}),
        files=job.files,
        variation_seed=base.variation_seed,
        first_step=begins_at(steps, share),
        # A base walk of no steps at all has left no noise to go on from.
        adds_noise=method_of(input) != "StepSwapNoisy" or begins_at(input.get(STEPS), share) == 0,
        told=told_as(model, input),
        batch=base.batch,
        name="refiner",
    )


def refiner_input(input: GenerationInput, steps: int, width: int, height: int) -> GenerationInput:
    """The request as the refine stage reads it: its section's words before the base's; of steps and guidance its own
    parameters before both, of samplers and schedules its section's before its own."""
    section = Section.REFINER
    asked = input.within(section).without(INIT_IMAGE, INIT_IMAGE_CREATIVITY, MASK_IMAGE, END_STEPS_EARLY)
    scale = input.given(REFINER_CFG_SCALE, section=section)
    asked = asked.having(CFG_SCALE, input.get(CFG_SCALE, section=section) if scale is None else scale)
    if input.given_within(SAMPLER, section) is None and (sampler := input.given(REFINER_SAMPLER)):
        asked = asked.having(SAMPLER, sampler)
    if input.given_within(SCHEDULER, section) is None and (schedule := input.given(REFINER_SCHEDULER)):
        asked = asked.having(SCHEDULER, schedule)
    asked = asked.having(STEPS, steps).having(WIDTH, width).having(HEIGHT, height)
    asked = asked.having(PROMPT, split_sections(input.get(PROMPT)).refining())
    return asked.having(NEGATIVE_PROMPT, split_sections(input.get(NEGATIVE_PROMPT)).refining())


def upscaled(side: int, input: GenerationInput) -> int:
    """A side after the refine stage's enlargement, a multiple of 16."""
    factor = input.get(REFINER_UPSCALE)
    return side if factor == 1.0 else int(round(side * factor) / 16) * 16
