"""The noise that samplers add on the way (swarm-t2i 9.2), drawn as ComfyUI draws it, for all pictures of a job at once.

They count as one tensor, drawn from the first picture's seed, and each picture takes its own part of every draw. A draw
follows from the seed, the shape and the way alone: it does not matter which picture asks first, or whether the others
have been cancelled. What is kept for the others only saves drawing it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias
from weakref import WeakValueDictionary

import torch
from torchsde import BrownianTree

from swarm.diffusion.sampler import Noise, NoiseKind
from swarm.diffusion.space import Space
from swarm.jobs.stage import ALONE, Batch

_TREE_DIGITS = 6
_DRAWING = {"cuda", "mps", "xpu"}
"""Devices with generators of their own."""
_KEPT = 4
"""Draws that are kept for the other pictures: no sampler wants more before it asks its next question."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What noise follows from. `shape`: of all pictures together, (n, C, h, w). `ends`: of the path over sigma, None
    for draws in a row."""

    seed: int
    shape: tuple[int, ...]
    drawn_on: torch.device
    ends: tuple[float, float] | None = None

    def draws(self) -> Draws:
        return StepDraws(self) if self.ends is None else BrownianDraws(self, *self.ends)


class Draws(ABC):
    """The draws of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._kept: dict[Hashable, torch.Tensor] = {}

    @abstractmethod
    def drawn(self, number: int, sigma_from: float, sigma_to: float) -> torch.Tensor:
        """Standard normal noise for all pictures. `number`: how many the picture that asks has had before."""

    def _shared(self, key: Hashable, draw: Callable[[], torch.Tensor]) -> torch.Tensor:
        if self.source.shape[0] == 1:
            return draw()
        if key not in self._kept:
            if len(self._kept) == _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = draw()
        return self._kept[key]


class StepDraws(Draws):
    """A fresh draw for each call, in the order of a picture's calls.

    The generator's state before each is remembered (5 kB on a CPU), so that pictures which come later get the same.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._generator = torch.Generator(source.drawn_on).manual_seed(source.seed)
        self._states = [self._generator.get_state()]

    def drawn(self, number: int, sigma_from: float, sigma_to: float) -> torch.Tensor:
        return self._shared(number, lambda: self._draw(number))

    def _draw(self, number: int) -> torch.Tensor:
        self._generator.set_state(self._states[number])
        noise = torch.randn(self.source.shape, generator=self._generator, device=self.source.drawn_on)
        if number + 1 == len(self._states):
            self._states.append(self._generator.get_state())
        return noise


class BrownianDraws(Draws):
    """Noise for the way between two sigmas, as one path of Brownian motion over the sigmas a walk visits.

    Ways that do not overlap get independent noise; ways that do overlap (as in DPM++ SDE) agree on the shared part.
    Each answer has unit variance. The path is torchsde's tree, so that it is a function of the seed alone.
    """

    def __init__(self, source: Source, low: float, high: float) -> None:
        super().__init__(source)
        self._low, self._high = low, high
        self._tree: Callable[[float, float], torch.Tensor] | None = None

    def drawn(self, number: int, sigma_from: float, sigma_to: float) -> torch.Tensor:
        return self._shared((sigma_from, sigma_to), lambda: self._draw(_place(sigma_to), _place(sigma_from)))

    def _draw(self, low: float, high: float) -> torch.Tensor:
        inside = (min(max(place, self._low), self._high) for place in (low, high))
        # The path is followed downwards, which turns its sign.
        return self._known_tree()(*inside) * (-1.0 / sqrt(high - low))

    def _known_tree(self) -> Callable[[float, float], torch.Tensor]:
        if self._tree is None:
            begin = torch.zeros(self.source.shape, device=self.source.drawn_on)
            self._tree = BrownianTree(self._low, begin, self._high, entropy=self.source.seed)
        return self._tree


Sources: TypeAlias = WeakValueDictionary[Source, Draws]
"""What walks that are under way draw from; walks with the same source share it."""
Sent: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


class StepNoise:
    """What the sampler of one picture is handed: its part of each draw, on its model's device."""

    def __init__(self, draws: Draws, space: Space, index: int, sent: Sent) -> None:
        self.space = space
        self.draws = draws
        self._part = slice(index, index + 1)
        self._sent = sent
        self._count = 0

    def __call__(self, sigma_from: float, sigma_to: float) -> torch.Tensor:
        number, self._count = self._count, self._count + 1
        return self._sent(self.draws.drawn(number, sigma_from, sigma_to)[self._part])


def noise_for(
    kind: NoiseKind,
    seed: int,
    shape: Sequence[int],
    device: torch.device,
    space: Space,
    sigmas: Sequence[float],
    batch: Batch = ALONE,
    known: Sources | None = None,
    sent: Sent | None = None,
) -> Noise:
    """What a sampler is handed as noise, for latents (1, *shape) on `device`.

    `seed`: of the first picture of the batch. `sigmas`: those of the walk. `known`: sources of other walks.
    `sent`: what takes a draw of the processor's to the device.
    """
    source = _source(kind, seed, (batch.size, *shape), device, sigmas)
    draws = None if known is None else known.get(source)
    if draws is None:
        draws = source.draws()
        if known is not None:
            known[source] = draws
    return StepNoise(draws, space, batch.index, sent or (lambda noise: noise.to(device)))


def _source(
    kind: NoiseKind, seed: int, shape: tuple[int, ...], device: torch.device, sigmas: Sequence[float]
) -> Source:
    if not kind.startswith("brownian") or not any(sigma > 0 for sigma in sigmas):
        drawn_on, begun = step_generator(device, seed)
        return Source(seed=begun % 2**63, shape=shape, drawn_on=drawn_on)
    drawn_on = device if kind == "brownian-device" else torch.device("cpu")
    # The tree rounds its ends to its tolerance, and warns when it is asked beyond them.
    low, high = min(sigma for sigma in sigmas if sigma > 0), max(sigmas)
    ends = round(_place(low), _TREE_DIGITS), round(_place(high), _TREE_DIGITS)
    return Source(seed=seed % 2**63, shape=shape, drawn_on=drawn_on, ends=ends)


def step_generator(device: torch.device, seed: int) -> tuple[torch.device, int]:
    """Where the noise of steps is drawn for a model on `device`, and the generator's seed: there, with the picture's.

    The CPU's generator has drawn the start with that seed already; there it is one past it.
    """
    return (device, seed) if device.type in _DRAWING else (torch.device("cpu"), seed + 1)


def _place(sigma: float) -> float:
    """In 32 bits, as everybody's trees are asked."""
    return float(torch.tensor(sigma, dtype=torch.float32))
