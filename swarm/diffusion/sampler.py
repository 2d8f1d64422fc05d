"""What a sampler is: a generator that asks for denoised predictions and answers with the finished latent.

It knows no model, no tensor library and no progress bar. Whoever drives it may answer many samplers with one call of
the model. Sigmas are floats in the variance-exploding convention (`x = clean + sigma * noise`), coefficients are `math`
in double precision, and only `x` may be a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias, TypeVar


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


Noise: TypeAlias = Callable[[float, float], Latent]
"""`noise(sigma_from, sigma_to)`: standard normal noise, shaped like `x`, for the way between two sigmas."""

SamplerRun: TypeAlias = Generator[Denoise, Latent, Latent]
"""Yields questions, is sent denoised latents, returns the last `x`."""

Run: TypeAlias = Callable[[Latent, Sequence[float], Noise], SamplerRun]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A sampling method, as it stands in the Sampler dropdown.

    `run(x, sigmas, noise)`: `x` starts at noise strength `sigmas[0]`; `sigmas` fall and usually end in 0.
    `order`: its place in the dropdown, lowest first.
    `wants_unguided`: it is answered by `Guided`, and the negative prompt is always asked too.
    `discards_penultimate`: the schedule is computed for one step more and its second-last sigma dropped.
    """

    id: str
    name: str
    run: Run
    order: int = 1000
    discards_penultimate: bool = False
    wants_unguided: bool = False
    doc: str = ""


def sampler(id: str, name: str, *, order: int = 1000, discards_penultimate: bool = False) -> Callable[[Run], Sampler]:
    """Declare a generator function as the sampler `id`."""

    def declare(run: Run) -> Sampler:
        doc = (run.__doc__ or "").strip()
        return Sampler(id=id, name=name, run=run, order=order, discards_penultimate=discards_penultimate, doc=doc)

    return declare


def weighted(terms: Sequence[tuple[float, Latent]]) -> Latent:
    """The sum of factor times latent. `terms` has at least one."""
    (factor, first), *rest = terms
    total = first * factor
    for factor, latent in rest:
        total = total + latent * factor
    return total
