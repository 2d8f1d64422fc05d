"""What a sampler is: a generator that asks for denoised predictions and answers with the finished latent.

It knows no model, no tensor library and no progress bar. Whoever drives it may answer many samplers with one call of
the model. Sigmas are floats in the variance-exploding convention (`x = clean + sigma * noise`), coefficients are `math`
in double precision, and only `x` may be a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, TypeAlias, TypeVar

from swarm.diffusion.space import Space


class Latent(Protocol):
    """What a sampler needs of `x`: a float, a numpy array and a torch tensor all have it."""

    def __add__(self, other: Self, /) -> Self: ...

    def __sub__(self, other: Self, /) -> Self: ...

    def __mul__(self, factor: float, /) -> Self: ...


L = TypeVar("L", bound=Latent)


@dataclass(frozen=True)
class Denoise:
    """A question: what is the clean latent, if `x` carries noise of strength `sigma` (> 0)?

    `step`: index of the schedule step this belongs to, 0-based; several questions of one step carry the same number.
    """

    x: Latent
    sigma: float
    step: int


@dataclass(frozen=True)
class Guided:
    """The answer that samplers with `wants_unguided` are sent: the guided prediction, and the negative prompt's own."""

    denoised: Latent
    unguided: Latent


class Noise(Protocol):
    """`noise(sigma_from, sigma_to)`: standard normal noise, shaped like `x`, for the way between two sigmas.

    `space`: what sigma means to the model; flow models want other steps of some samplers.
    """

    @property
    def space(self) -> Space: ...

    def __call__(self, sigma_from: float, sigma_to: float, /) -> Latent: ...


NoiseKind: TypeAlias = Literal["none", "steps", "brownian", "brownian-device"]
"""`steps`: a fresh draw for each call, in the order of the calls, on the model's device. `brownian`: one path over
sigma, whose ways agree where they overlap, on the CPU; `-device` draws it on the model's device."""

SamplerRun: TypeAlias = Generator[Denoise, Latent, Latent]
"""Yields questions, is sent denoised latents, returns the last `x`."""

Run: TypeAlias = Callable[[Latent, Sequence[float], Noise], SamplerRun]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A sampling method, as it stands in the Sampler dropdown.

    `run(x, sigmas, noise)`: `x` starts at noise strength `sigmas[0]`; `sigmas` fall and usually end in 0.
    `order`: its place in the dropdown, lowest first. `noise`: what it is handed as `noise`.
    `wants_unguided`: it is answered by `Guided`, and the negative prompt is always asked too.
    `discards_penultimate`: the schedule is computed for one step more and its second-last sigma dropped;
    `keeps_range`: but not where the request gives the range.
    `adapts`: how often it asks depends on the answers.

    For the reference page: `accuracy`: the order of its error in the step size, 0 where there is no such order.
    `calls`: model calls a step. `flow_aware`: it takes other steps for flow models. `oracle`: what tests compare with.
    """

    id: str
    name: str
    run: Run
    order: int = 1000
    noise: NoiseKind = "steps"
    discards_penultimate: bool = False
    keeps_range: bool = False
    wants_unguided: bool = False
    adapts: bool = False
    accuracy: int = 0
    calls: str = "1"
    flow_aware: bool = False
    oracle: str = ""
    doc: str = ""

    @property
    def climbs(self) -> bool:
        """Whether it can go up the noise levels as well as down: without noise of its own, one prompt, fixed steps."""
        return self.noise == "none" and not self.wants_unguided and self.accuracy > 0


def sampler(
    id: str,
    name: str,
    *,
    order: int = 1000,
    noise: NoiseKind = "steps",
    discards_penultimate: bool = False,
    keeps_range: bool = False,
    wants_unguided: bool = False,
    adapts: bool = False,
    accuracy: int = 0,
    calls: str = "1",
    flow_aware: bool = False,
    oracle: str = "",
) -> Callable[[Run], Sampler]:
    """Declare a generator function as the sampler `id`; its docstring is the description."""

    def declare(run: Run) -> Sampler:
        return Sampler(
            id=id,
            name=name,
            run=run,
            order=order,
            noise=noise,
            discards_penultimate=discards_penultimate,
            keeps_range=keeps_range,
            wants_unguided=wants_unguided,
            adapts=adapts,
            accuracy=accuracy,
            calls=calls,
            flow_aware=flow_aware,
            oracle=oracle,
            doc=(run.__doc__ or "").strip(),
        )

    return declare


def both(answer: Latent | Guided) -> Guided:
    """The answer as samplers with `wants_unguided` get it."""
    assert isinstance(answer, Guided), "samplers that want the unguided prediction are answered by Guided"
    return answer


def weighted(terms: Sequence[tuple[float, Latent]]) -> Latent:
    """The sum of factor times latent. `terms` has at least one."""
    (factor, first), *rest = terms
    total = first * factor
    for factor, latent in rest:
        total = total + latent * factor
    return total
