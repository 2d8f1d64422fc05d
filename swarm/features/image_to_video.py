"""The finished picture as the first frame of a video (swarm-t2i 9.14)."""

from __future__ import annotations

from math import sqrt
from typing import Any

from swarm.access.permissions import PARAM_VIDEO
from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.groups import IMAGE_TO_VIDEO_GROUP, VIDEO_OBSCURE_OPTIONS_GROUP
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.mask import MASK_IMAGE
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER, SCHEDULER
from swarm.features.video import TEXT_VIDEO_FRAMES, finished_clip
from swarm.jobs.acts import Asking, Film, Making, act
from swarm.jobs.job import Job, ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from swarm.params.kinds import Decimal, Dropdown, Integer, Model, fixed
from swarm.params.media_kinds import Media
from swarm.prompt.sections import Section, split_sections

_PARAMS: dict[str, Any] = {
    "group": IMAGE_TO_VIDEO_GROUP,
    "permission": PARAM_VIDEO,
    "flags": ("video",),
    "do_not_preview": True,
}
_OBSCURE: dict[str, Any] = {
    "group": VIDEO_OBSCURE_OPTIONS_GROUP,
    "permission": PARAM_VIDEO,
    "flags": ("video",),
    "advanced": True,
    "toggleable": True,
}
IMAGE_ASPECT, MODEL_PREFERRED, IMAGE_SIZE = "Image Aspect, Model Res", "Model Preferred", "Image"
PARTS = "videomodel:"
"""What the names of the video model's companions begin with in `Job.files`."""

SEED_OFFSET = 42
"""The clip's noise comes from the picture's seed plus this (swarm-t2i 9.2)."""

SECTIONS = (Section.EVERYWHERE, Section.GLOBAL, Section.VIDEO)
"""Whose LoRAs act in the video model."""

SOLVED_ANEW = (INIT_IMAGE, INIT_IMAGE_CREATIVITY, MASK_IMAGE, SAMPLER, SCHEDULER, TEXT_VIDEO_FRAMES)
"""What a clip made after a picture does not take over from it."""

_MULTIPLE = 64

IN_FRONT: dict[str, Any] = {"subtype": "Stable-Diffusion", "priority": 1.0}
SECOND_HALF: dict[str, Any] = {"subtype": "Stable-Diffusion", "priority": 1.5, "advanced": True, "toggleable": True}
SHARE_OF_SECOND: dict[str, Any] = {
    "default": 0.5,
    "min": 0,
    "max": 1,
    "step": 0.05,
    "priority": 1.7,
    "view_type": "slider",
    "advanced": True,
}
"""How a video model is asked for, the second half of one that comes in two, and that half's share of the steps."""

VIDEO_MODEL = Model(
    name="Video Model",
    description="An image-to-video model, which turns the finished picture into a video.",
    **IN_FRONT,
    **_PARAMS,
)
VIDEO_SWAP_MODEL = Model(
    name="Video Swap Model",
    description="The second half of a video model that comes in two: it takes over part of the way, at low noise.",
    **SECOND_HALF,
    **_PARAMS,
)
VIDEO_SWAP_PERCENT = Decimal(
    name="Video Swap Percent",
    description="The share of the video's steps that the swap model gets.",
    depends_on="videoswapmodel",
    **SHARE_OF_SECOND,
    **_PARAMS,
)
VIDEO_FRAMES = Integer(
    name="Video Frames",
    description="How many frames the video has; rounded to what the model accepts.",
    default=25,
    min=1,
    max=1000,
    priority=2.0,
    view_type="video_frames",
    toggleable=True,
    **_PARAMS,
)
VIDEO_STEPS = Integer(
    name="Video Steps",
    description="How many steps the video model takes.",
    default=20,
    min=1,
    max=200,
    view_max=100,
    priority=3.0,
    view_type="slider",
    **_PARAMS,
)
VIDEO_CFG = Decimal(
    name="Video CFG",
    description="How closely the video follows its prompt, instead of CFG Scale.",
    default=7.0,
    min=1,
    max=100,
    view_max=20,
    step=0.5,
    priority=4.0,
    view_type="slider",
    toggleable=True,
    **_PARAMS,
)
VIDEO_RESOLUTION = Dropdown(
    name="Video Resolution",
    description="How large the video is: of the picture's shape and the model's number of pixels, of the size the "
    "model is best at, or as large as the picture.",
    default=IMAGE_ASPECT,
    values=fixed(IMAGE_ASPECT, MODEL_PREFERRED, IMAGE_SIZE),
    priority=19.0,
    **_PARAMS,
)
VIDEO_VIDEO_CREATIVITY = Decimal(
    name="Video2Video Creativity",
    description="Where the base model makes a video: how far the video model makes it anew. 1 starts from its first "
    "frame alone.",
    default=1.0,
    min=0,
    max=1,
    step=0.05,
    ignore_if="1",
    priority=19.5,
    view_type="slider",
    advanced=True,
    **_PARAMS,
)
VIDEO_END_IMAGE = Media(
    name="Video End Image",
    description="The picture the video ends with, for models that know how to get there.",
    priority=30.0,
    advanced=True,
    **_PARAMS,
)
VIDEO_MIN_CFG = Decimal(
    name="Video Min CFG",
    description="Stable Video Diffusion follows the picture this much in its first frame, and the full CFG in its "
    "last; -1 guides all frames alike.",
    default=1.0,
    min=-1,
    max=100,
    view_max=30,
    step=0.5,
    priority=4.5,
    view_type="slider",
    **_OBSCURE,
)
VIDEO_MOTION_BUCKET = Integer(
    name="Video Motion Bucket",
    description="How much moves in a clip of Stable Video Diffusion.",
    default=127,
    min=1,
    max=1023,
    priority=10.0,
    **_OBSCURE,
)
VIDEO_AUGMENTATION_LEVEL = Decimal(
    name="Video Augmentation Level",
    description="Noise on the picture that Stable Video Diffusion starts from: more frees the motion from it.",
    default=0.0,
    min=0,
    max=10,
    view_max=1,
    step=0.01,
    priority=11.0,
    view_type="slider",
    **_OBSCURE,
)


@act(order=90, when=VIDEO_MODEL, steps=lambda input: input.get(VIDEO_STEPS))
def make_video(making: Making) -> Asking:
    """The picture, once all else has been done to it, as the first frame of a clip."""
    image = yield from making.as_image()
    height, width = image.shape[-2:]
    clip = yield Film(image=image, of=filming_pass(making.base, making.job, width, height))
    making.clip = clip if goes_on(making.job.input) else finished_clip(clip, making.job.input)
    making.image = None


def goes_on(input: GenerationInput) -> bool:
    """Whether the prompt makes the video longer (`<extend:frames>`), so that its end is not yet its end."""
    return bool(split_sections(input.get(PROMPT)).extends)


def filming_pass(base: Pass, job: Job, width: int, height: int) -> Pass:
    """The clip that begins with a picture of this size. Raises BadInput when the video model is not there."""
    model = job.files[VIDEO_MODEL.id]
    parts = {slot.removeprefix(PARTS): part for slot, part in job.files.items() if slot.startswith(PARTS)}
    return Pass(
        input=_input(job.input, *video_size(job.input, model, width, height)),
        model=model,
        seed=base.seed + SEED_OFFSET,
        loras=tuple(use for use in job.loras if use.section in SECTIONS),
        parts=parts,
        files=job.files,
        name="video",
    )


def _input(input: GenerationInput, width: int, height: int) -> GenerationInput:
    """The request as the video model reads it. It is solved its own way unless its section says otherwise."""
    asked = input.without(*SOLVED_ANEW)
    for param in (SAMPLER, SCHEDULER):
        if (own := input.given_within(param, Section.VIDEO)) is not None:
            asked = asked.having(param, own)
    cfg = input.given_within(CFG_SCALE, Section.VIDEO) or input.given(VIDEO_CFG) or input.get(CFG_SCALE)
    steps = input.given_within(STEPS, Section.VIDEO) or input.get(VIDEO_STEPS)
    asked = asked.having(STEPS, steps).having(CFG_SCALE, cfg).having(WIDTH, width).having(HEIGHT, height)
    if (frames := input.given(VIDEO_FRAMES)) is not None:
        asked = asked.having(TEXT_VIDEO_FRAMES, frames)
    asked = asked.having(PROMPT, split_sections(input.get(PROMPT)).for_video())
    return asked.having(NEGATIVE_PROMPT, split_sections(input.get(NEGATIVE_PROMPT)).for_video())


def video_size(input: GenerationInput, model: ModelFile, width: int, height: int) -> tuple[int, int]:
    """How large the clip of a picture of width x height becomes. A model that names no size follows the picture."""
    wanted = input.get(VIDEO_RESOLUTION)
    if wanted == IMAGE_SIZE or not model.width or not model.height:
        return width, height
    if wanted == MODEL_PREFERRED:
        return model.width, model.height
    aspect, count = width / height, model.width * model.height
    return _rounded(sqrt(count * aspect)), _rounded(sqrt(count / aspect))


def _rounded(side: float) -> int:
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)
