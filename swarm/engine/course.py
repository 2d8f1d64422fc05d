"""What a walk's request has it take: which part of its schedule, and which stage functions on the way."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.jobs.stage import Pass, Stage, StageFunction


def active_stages(stages: Sequence[StageFunction], of: Pass) -> dict[Stage, list[StageFunction]]:
    """The stage functions a walk's request switches on, by point, in their order."""
    active: dict[Stage, list[StageFunction]] = {}
    for function in sorted(stages, key=lambda function: (function.order, function.id)):
        if of.input.has(function.when):
            active.setdefault(function.stage, []).append(function)
    return active


def part_of(sigmas: list[float], of: Pass) -> list[float]:
    """The part of a whole schedule that a walk takes."""
    if of.last_step is None or of.last_step >= len(sigmas) - 1:
        return sigmas[of.first_step :]
    taken = sigmas[of.first_step : of.last_step + 1]
    return taken if of.leaves_noise or len(taken) < 2 else [*taken[:-1], 0.0]
