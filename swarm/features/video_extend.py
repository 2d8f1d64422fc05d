"""`<extend:frames>`: a clip that goes on from its own last frames, once or more often (swarm-t2i 9.14)."""

from __future__ import annotations

from typing import Any

from swarm.access.permissions import PARAM_VIDEO
from swarm.base.errors import BadInput
from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.groups import VIDEO_EXTEND_GROUP
from swarm.features.image_to_video import (
    IN_FRONT,
    SECOND_HALF,
    SHARE_OF_SECOND,
    SOLVED_ANEW,
    VIDEO_CFG,
    VIDEO_END_IMAGE,
    VIDEO_STEPS,
    VIDEO_SWAP_MODEL,
    VIDEO_SWAP_PERCENT,
)
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER, SCHEDULER
from swarm.features.video import TEXT_VIDEO_FRAMES, VIDEO_FORMAT, finished_clip, video_formats
from swarm.jobs.acts import Asking, Film, Making, act
from swarm.jobs.job import Job, ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from swarm.params.kinds import Decimal, Dropdown, Integer, Model
from swarm.prompt.sections import Extend, Section, split_sections

_PARAMS: dict[str, Any] = {
    "group": VIDEO_EXTEND_GROUP,
    "permission": PARAM_VIDEO,
    "flags": ("video",),
    "do_not_preview": True,
}
EXTEND_PARTS = "videoextendmodel:"
"""What the names of the extending model's companions begin with in `Job.files`."""

_SEED_OFFSET = 600
_NO_MODEL = "You have an '<extend:' block in your prompt, but you don't have a 'Video Extend Model' selected."

VIDEO_EXTEND_MODEL = Model(
    name="Video Extend Model",
    description="An image-to-video model, which makes a video longer where the prompt says <extend:frames>.",
    **IN_FRONT,
    **_PARAMS,
)
VIDEO_EXTEND_SWAP_MODEL = Model(
    name="Video Extend Swap Model",
    description="The second half of an extending model that comes in two: it takes over part of the way.",
    **SECOND_HALF,
    **_PARAMS,
)
VIDEO_EXTEND_SWAP_PERCENT = Decimal(
    name="Video Extend Swap Percent",
    description="The share of an extension's steps that the swap model gets.",
    depends_on="videoextendswapmodel",
    **SHARE_OF_SECOND,
    **_PARAMS,
)
VIDEO_EXTEND_FRAME_OVERLAP = Integer(
    name="Video Extend Frame Overlap",
    description="How many of the last frames an extension begins with; they are not shown twice. Models that start "
    "from a single picture begin with the last frame.",
    default=9,
    min=1,
    max=128,
    priority=5.5,
    examples=("1", "5", "9"),
    group=VIDEO_EXTEND_GROUP,
    do_not_preview=True,
)
VIDEO_EXTEND_FORMAT = Dropdown(
    name="Video Extend Format",
    description="The file format extended videos are saved in.",
    default="h264-mp4",
    values=video_formats,
    priority=20.0,
    **_PARAMS,
)


def extensions(input: GenerationInput) -> tuple[Extend, ...]:
    """What the prompt says about going on."""
    return split_sections(input.get(PROMPT)).extends


def format_of(input: GenerationInput) -> str:
    """The format that a request's videos are saved in."""
    extended = input.has(VIDEO_EXTEND_MODEL) and extensions(input)
    own = input.given(VIDEO_EXTEND_FORMAT) if extended else None
    return own or input.get(VIDEO_FORMAT)


@need()
def extending_model(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """Nothing but the word that a prompt which goes on needs a model for it."""
    if not input.has(VIDEO_EXTEND_MODEL) and extensions(input):
        raise BadInput(_NO_MODEL)
    return Found(parts={}, files={})


def _all_steps(input: GenerationInput) -> int:
    return sum(_steps(input, one) for one in extensions(input))


@act(order=95, when=VIDEO_EXTEND_MODEL, steps=_all_steps)
def extend_video(making: Making) -> Asking:
    """The clip so far, or the finished picture, and what comes after it."""
    input = making.job.input
    for number, _extension in enumerate(extensions(input)):
        image = (yield from making.as_image()) if making.clip is None else None
        of = extending_pass(making.base, making.job, number)
        overlap = input.get(VIDEO_EXTEND_FRAME_OVERLAP)
        making.clip = yield Film(image=image, before=making.clip, overlap=overlap, of=of)
        making.image = None
    if making.clip is not None:
        making.clip = finished_clip(making.clip, input)


def extending_pass(base: Pass, job: Job, number: int) -> Pass:
    """The clip that extension `number` (from 0) is; whoever films it knows its size. Raises BadInput."""
    extension = extensions(job.input)[number]
    sections = (Section.EVERYWHERE, Section.GLOBAL, extension.cid)
    parts = {slot.removeprefix(EXTEND_PARTS): part for slot, part in job.files.items() if slot.startswith(EXTEND_PARTS)}
    return Pass(
        input=_input(job.input, extension),
        model=job.files[VIDEO_EXTEND_MODEL.id],
        seed=base.seed + _SEED_OFFSET + 1 + number,
        loras=tuple(use for use in job.loras if use.section in sections),
        parts=parts,
        files=job.files,
        name=f"extension {number + 1}",
    )


def _input(input: GenerationInput, extension: Extend) -> GenerationInput:
    """The request as the extending model reads it: solved its own way unless its section says otherwise."""
    asked = input.without(*SOLVED_ANEW, VIDEO_SWAP_MODEL, VIDEO_END_IMAGE)
    for param in (SAMPLER, SCHEDULER):
        if (own := input.given_within(param, extension.cid)) is not None:
            asked = asked.having(param, own)
    if input.has(VIDEO_EXTEND_SWAP_MODEL):
        asked = asked.having(VIDEO_SWAP_MODEL, input.get(VIDEO_EXTEND_SWAP_MODEL))
        asked = asked.having(VIDEO_SWAP_PERCENT, input.get(VIDEO_EXTEND_SWAP_PERCENT))
    prompt = split_sections(input.get(PROMPT)).for_extend(extension)
    asked = asked.having(PROMPT, prompt).having(TEXT_VIDEO_FRAMES, extension.frames)
    asked = asked.having(NEGATIVE_PROMPT, split_sections(input.get(NEGATIVE_PROMPT)).global_prompt.strip())
    return asked.having(STEPS, _steps(input, extension)).having(CFG_SCALE, _cfg(input, extension))


def _steps(input: GenerationInput, extension: Extend) -> int:
    own = input.given_within(STEPS, extension.cid) or input.given_within(STEPS, Section.VIDEO)
    return own or input.given(VIDEO_STEPS) or input.get(STEPS)


def _cfg(input: GenerationInput, extension: Extend) -> float:
    own = input.given_within(CFG_SCALE, extension.cid) or input.given_within(CFG_SCALE, Section.VIDEO)
    return own or input.given(VIDEO_CFG) or input.get(CFG_SCALE)


def sized(of: Pass, width: int, height: int) -> Pass:
    """The same clip in this size."""
    return of.with_input(of.input.having(WIDTH, width).having(HEIGHT, height))
