"""Previews that take their time to come in are told when they have, and only while they are of interest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import pytest
import torch

from swarm.engine.device import Device, Fetched, choose_device
from swarm.jobs.events import Preview, StepDone
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench, new_bench

pytestmark = pytest.mark.torch
STEPS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Late(Fetched):
    """Here when it has been asked for the second time."""

    asked: list[int] = field(default_factory=list)

    @property
    def is_here(self) -> bool:
        self.asked.append(1)
        return len(self.asked) > 1


class Slow(Device):
    """A device that tensors take a step to come from."""

    def fetched(self, tensor: torch.Tensor) -> Fetched:
        return Late(tensor=tensor, event=None)


def shown(bench: Bench, file: ModelFile) -> tuple[list[tuple[int, bytes]], int]:
    """(steps done when it was told, JPEG) of each preview, and how many steps were told of."""
    id = bench.submit(file, (3,), steps=STEPS)
    bench.finish()
    done, found = 0, []
    for event in bench.events(id):
        if isinstance(event, StepDone):
            done = event.done
        elif isinstance(event, Preview):
            found.append((done, event.picture.data))
    return found, done


def test_previews_come_in_while_the_next_step_runs(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        ticks, others = count(), count()
        at_once, steps = shown(new_bench(clock=lambda: float(next(ticks))), files[SD])
        device = Slow(**vars(choose_device(0, "auto")))
        later, _ = shown(new_bench(device=device, clock=lambda: float(next(others))), files[SD])
    assert [done for done, _ in at_once] == list(range(1, STEPS))
    assert steps == STEPS
    # One is asked for when the one before has come in; that of the last but one step comes too late.
    assert [done for done, _ in later] == [2, 4]
    assert [data for _, data in later] == [at_once[0][1], at_once[2][1]]
