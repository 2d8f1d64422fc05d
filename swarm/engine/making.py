"""A picture from its job to its pixels: the base walk, then what the acts of its request do, then decoding."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

import torch

from swarm.engine.decode import as_pixels
from swarm.engine.memory import model_of
from swarm.features.core import STEPS
from swarm.features.sampling import SAMPLER, SCHEDULER
from swarm.features.sigma_shift import SIGMA_SHIFT
from swarm.jobs.acts import Act, Ask, Decode, Making, Sample
from swarm.jobs.job import Job
from swarm.jobs.stage import Batch, Pass
from swarm.media.clip import Clip
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from swarm.prompt.sections import Section

BASE_SECTIONS = (-1, 0, 5)
"""Sections whose LoRAs act in the base walk: everywhere, in no section, and behind `<base>` (swarm-t2i 9.1, 9.15)."""

Run: TypeAlias = Generator[Ask, Any, list[Pixels | Clip]]
"""Yields asks, is sent answers, returns the pictures: extras first, the result last."""


def base_pass(job: Job, index: int, acts: Sequence[Act]) -> Pass:
    """The walk a picture begins with, as the acts that follow want it. Raises BadInput when the job names no model."""
    of = Pass(
        input=_of_the_base(job.input),
        model=model_of(job),
        seed=job.seeds[index],
        loras=tuple(use for use in job.loras if use.section in BASE_SECTIONS),
        confined=tuple(use for use in job.loras if use.section >= Section.FIRST_PART and use.weight),
        parts=job.parts,
        files=job.files,
        variation_seed=job.variation_seeds[index] if job.variation_seeds else None,
        batch=Batch(index=index, size=len(job.seeds), ahead=job.seeds[index] - job.seeds[0]),
    )
    for act in acts:
        if act.prepare is not None:
            of = act.prepare(of)
    return of


def _of_the_base(input: GenerationInput) -> GenerationInput:
    """The request as the base walk reads it: of its own section only how it is solved (swarm-t2i 5.4)."""
    for param in (SAMPLER, SCHEDULER, SIGMA_SHIFT):
        own: Any = input.given_within(param, Section.BASE)
        if own is not None:
            input = input.having(param, own)
    return input


def active_acts(acts: Sequence[Act], job: Job) -> list[Act]:
    """What happens to the job's pictures after their base walk, in order."""
    return [act for act in sorted(acts, key=lambda act: (act.order, act.id)) if job.input.has(act.when)]


def planned_steps(job: Job, acts: Sequence[Act]) -> int:
    """How many steps a picture of the job will take, as far as it can be told beforehand."""
    return max(0, job.input.get(STEPS)) + sum(act.steps(job.input) for act in acts)


def make(job: Job, index: int, base: Pass, acts: Sequence[Act]) -> Run:
    """One picture of a job."""
    making = Making(job=job, index=index, base=base)
    for act in acts:
        if act.opens:
            yield from act.run(making)
    answer = yield Sample(of=making.base)
    acts = [act for act in acts if not act.opens]
    if isinstance(answer, Pixels):
        if not acts:
            return [answer]
        making.image = _image_of(answer)
    else:
        making.latent = answer
    for act in acts:
        yield from act.run(making)
    if making.clip is not None:
        return [*making.extras, making.clip]
    if making.image is not None:
        return [*making.extras, *as_pixels(making.image)]
    result = yield Decode(latent=making.latent, of=making.base, as_pixels=True)
    return [*making.extras, result]


def _image_of(pixels: Pixels) -> torch.Tensor:
    shape = pixels.height, pixels.width, len(pixels.data) // (pixels.width * pixels.height)
    levels = torch.frombuffer(bytearray(pixels.data), dtype=torch.uint8).reshape(shape)
    return levels.permute(2, 0, 1)[None].float() / 255.0
