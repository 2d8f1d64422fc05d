"""One picture of a live job in the batched tier: what it asks now, and the walk it is on."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.engine.live import LiveJob
from swarm.engine.making import Run
from swarm.engine.memory import WeightsKey
from swarm.engine.runner import Sampling
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.acts import Ask
from swarm.jobs.stage import Pass


@dataclass(frozen=True)
class Group:
    """What walks must have in common to share a model call."""

    weights: WeightsKey
    width: int
    height: int

    @staticmethod
    def of(weights: WeightsKey, of: Pass) -> Group:
        return Group(weights, of.input.get(WIDTH), of.input.get(HEIGHT))


@dataclass(kw_only=True, eq=False)
class Shot:
    """`index`: which picture of the job. `run`: its making. `later`: steps that acts will take after the base walk.

    `ask`: what it waits for, None before the first. `group`: of the ask, where that concerns a model. `sampling`: its
    walk, once begun. `behind`: steps of finished walks.
    """

    live: LiveJob
    index: int
    run: Run
    later: int
    ask: Ask | None = None
    group: Group | None = None
    sampling: Sampling | None = None
    behind: int = 0

    @property
    def walk(self) -> Sampling:
        assert self.sampling is not None, "no walk has begun"
        return self.sampling

    @property
    def key(self) -> Group:
        assert self.group is not None, "it asks for no model"
        return self.group
