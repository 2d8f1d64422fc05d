"""What one call of a whole pipeline is to make, in this program's own words."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.image_to_video import VIDEO_END_IMAGE, VIDEO_SWAP_MODEL, VIDEO_SWAP_PERCENT
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.mask import MASK_IMAGE
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER, SCHEDULER
from swarm.features.sigma_shift import SIGMA_SHIFT
from swarm.features.video import TEXT_VIDEO_FRAMES, VIDEO_FPS
from swarm.jobs.job import Job
from swarm.jobs.stage import ALONE, Batch
from swarm.media.stretched import opened
from swarm.params.input import GenerationInput
from swarm.params.media_kinds import Media
from swarm.prompt.sections import split_sections


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """One picture or clip. `image`: to start from; `last`: a clip shall end with it; both have the right size.

    Prompts are as they were written, with weights and breaks. `before`: frames to go on from, where there are several.
    `film`: frames to make anew. `mask`: what of `image` to make anew (white). `creativity`: the share of the steps that
    run, None for all.
    `frames`: None for as many as the model usually makes. `input`: the request, for what only few pipelines know.
    `shift`: of a flow model's noise levels. `swap_share`: how much of the walk a second model takes over.
    `batch`: the picture among those of its job.
    """

    prompt: str
    negative: str
    steps: int
    cfg: float
    width: int
    height: int
    seed: int
    input: GenerationInput
    sampler: str | None = None
    schedule: str | None = None
    frames: int | None = None
    fps: int = 24
    image: Image.Image | None = None
    last: Image.Image | None = None
    before: tuple[Image.Image, ...] = ()
    film: tuple[Image.Image, ...] = ()
    mask: Image.Image | None = None
    creativity: float | None = None
    shift: float | None = None
    swap_share: float | None = None
    batch: Batch = ALONE


def base_wish(job: Job, index: int) -> Wish:
    """Picture `index` of a job, made by its model."""
    input = job.input
    width, height = input.get(WIDTH), input.get(HEIGHT)
    prompts = (split_sections(input.get(param)).for_base() for param in (PROMPT, NEGATIVE_PROMPT))
    return wish_of(
        input.having(PROMPT, next(prompts)).having(NEGATIVE_PROMPT, next(prompts)),
        job.seeds[index],
        image=_picture(input, INIT_IMAGE, width, height),
        mask=_picture(input, MASK_IMAGE, width, height, "L"),
        batch=Batch(index=index, size=len(job.seeds), ahead=job.seeds[index] - job.seeds[0]),
    )


def wish_of(
    input: GenerationInput,
    seed: int,
    *,
    image: Image.Image | None = None,
    mask: Image.Image | None = None,
    before: tuple[Image.Image, ...] = (),
    film: tuple[Image.Image, ...] = (),
    batch: Batch = ALONE,
) -> Wish:
    """A request as it is to be read, prompts without sections."""
    width, height = input.get(WIDTH), input.get(HEIGHT)
    return Wish(
        prompt=input.get(PROMPT),
        negative=input.get(NEGATIVE_PROMPT),
        steps=max(1, input.get(STEPS)),
        cfg=input.get(CFG_SCALE),
        width=width,
        height=height,
        seed=seed,
        input=input,
        sampler=input.given(SAMPLER),
        schedule=input.given(SCHEDULER),
        frames=input.given(TEXT_VIDEO_FRAMES),
        fps=input.get(VIDEO_FPS),
        image=image,
        last=_picture(input, VIDEO_END_IMAGE, width, height),
        before=before,
        film=film,
        mask=mask,
        creativity=input.given(INIT_IMAGE_CREATIVITY),
        shift=input.given(SIGMA_SHIFT),
        swap_share=input.get(VIDEO_SWAP_PERCENT) if input.has(VIDEO_SWAP_MODEL) else None,
        batch=batch,
    )


def _picture(input: GenerationInput, param: Media, width: int, height: int, mode: str = "RGB") -> Image.Image | None:
    given = input.given(param)
    return None if given is None else opened(given, width, height, mode)
