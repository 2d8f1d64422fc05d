"""From one request to one plan per task: which seed, which index. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from swarm.features.core import BATCH_SIZE, SEED
from swarm.features.swarm import NO_SEED_INCREMENT
from swarm.features.variation import VARIATION_SEED, VARIATION_SEED_STRENGTH
from swarm.params.input import GenerationInput


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When a request was parsed: local time, and the counter within that minute (`[request_time_inc]`)."""

    time: datetime
    count: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One task of a request: `batch` pictures with indices `index`, `index + 1`, … made from `input`.

    `id` is the job's row. `input` still has its prompts unexpanded: each task draws its own random choices.
    """

    id: str
    index: int
    batch: int
    input: GenerationInput
    request_id: int
    moment: Moment


def with_seed_of(input: GenerationInput, local: int) -> GenerationInput:
    """The input of the task whose first picture is number `local` of its request (swarm-t2i 3.10)."""
    if local == 0 or input.get(NO_SEED_INCREMENT):
        return input
    variation = input.given(VARIATION_SEED)
    if variation is not None and input.get(VARIATION_SEED_STRENGTH) > 0:
        return input.having(VARIATION_SEED, variation + local)
    return input.having(SEED, input.get(SEED) + local)


def plans(
    input: GenerationInput, *, images: int, offset: int, request_id: int, moment: Moment, ids: Iterator[str]
) -> list[Plan]:
    """One plan per task, in order; task i covers indices offset + i·batch … (swarm-t2i 4.6)."""
    batch = input.get(BATCH_SIZE)
    return [
        Plan(
            id=next(ids),
            index=offset + number * batch,
            batch=batch,
            input=with_seed_of(input, number * batch),
            request_id=request_id,
            moment=moment,
        )
        for number in range(images)
    ]


def batch_seeds(input: GenerationInput, batch: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(seeds, variation seeds) of the pictures of one task: with a variation asked, only the variation seed moves.

    A variation without a seed of its own is that of seed 0.
    """
    seed = input.get(SEED)
    variation = input.given(VARIATION_SEED) or 0
    if input.get(VARIATION_SEED_STRENGTH) > 0:
        return (seed,) * batch, tuple(variation + k for k in range(batch))
    return tuple(seed + k for k in range(batch)), ()
