"""A diffusers scheduler whose steps are a sampler of this program along one of its schedules.

The pipeline is shown every question of the sampler as a timestep. What it hands around is always what its network sees
(for models with a beta schedule: divided by sqrt(sigma² + 1)), so that it does not matter whether it asks for scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from math import prod
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput

from swarm.diffusion.prediction import denoised_factors, input_scale, latent_scale, start_scale
from swarm.diffusion.sampler import Denoise, Guided, Noise, SamplerRun
from swarm.diffusion.space import Space
from swarm.engine.step_noise import noise_for
from swarm.engine.whole.levels import Levels, plain_kind
from swarm.engine.whole.watching import Watch
from swarm.engine.whole.way import Ask, Leg, Way, asks_of, run_of, unforeseen

_SAME = 1e-9
_TRIFLE = 0.01
"""Of a thousand timesteps: nothing a network could tell, but more than what rounding takes away."""


class Arranged:
    """Noise drawn in one arrangement and handed over in another: `places` (as `Way.places`), `shape`."""

    def __init__(self, drawn: Noise, places: torch.Tensor, shape: tuple[int, ...]) -> None:
        self.space = drawn.space
        self._drawn = drawn
        self._shape = shape
        self._places = places

    def __call__(self, sigma_from: float, sigma_to: float) -> torch.Tensor:
        noise: Any = self._drawn(sigma_from, sigma_to)
        return rearranged(noise, self._places, self._shape)


def rearranged(noise: torch.Tensor, places: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Noise in the arrangement that it was drawn in as a latent of another `shape`; `places` as `Way.places`."""
    order = places.flatten().argsort()[-prod(shape) :]
    return noise.flatten()[order.to(noise.device)].reshape(shape)


class Walking:
    """What is laid over a scheduler's class: the same settings, other steps. Made by `walking`."""

    order = 1
    way: Way
    watch: Watch
    config: Any
    timesteps: torch.Tensor
    sigmas: torch.Tensor
    num_inference_steps: int | None
    _levels: Levels
    _asks: Sequence[Ask] = ()
    _legs: Sequence[Leg] = ()
    _behind: int = 0
    _index: int = 0
    _noised: bool = False
    _run: SamplerRun | None = None
    _question: Denoise | None = None
    _given: torch.Tensor | None = None
    _unscaled: torch.Tensor | None = None

    @property
    def init_noise_sigma(self) -> float:
        """Flow models are scaled where their noise is drawn (`drew`), for many pipelines do not ask."""
        levels = self._levels
        if levels.kind == "flow" or not self._legs:
            return 1.0
        sigma = self._legs[0].sigmas[0]
        return start_scale(levels.kind, sigma, levels.table.sigma_max) * input_scale(levels.kind, sigma)

    @property
    def step_index(self) -> int:
        return self._index

    @property
    def share(self) -> float:
        """How much of the noise the model was trained on lies behind the question that is asked now."""
        return Space(self._levels.table).share_at(self._asks[self._index].sigma)

    @property
    def begin_index(self) -> int:
        return 0

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Where to begin is known already."""

    def index_for_timestep(self, timestep: Any, schedule_timesteps: Any = None) -> int:
        return next((index for index, each in enumerate(self.timesteps) if float(each) == float(timestep)), 0)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Any = None,
        timesteps: Any = None,
        mu: float | None = None,
        **_more: Any,
    ) -> None:
        """Plan the walk. Of what the pipeline would have itself only the number of steps counts, and `mu`."""
        own = next((given for given in (timesteps, sigmas) if given is not None), ())
        steps = num_inference_steps or len(own)
        way, levels = self.way, self.way.levels.grown(mu)
        if self._run is not None:
            self._behind += self._legs[-1].last
        self._levels, self._legs = levels, way.legs(steps, levels)
        self._asks = asks_of(self._legs, levels)
        self._index, self._run, self._question, self._given = 0, None, None, None
        whole = levels.kind != "flow" and not levels.table.continuous
        times = self._times()
        self.timesteps = torch.tensor(times, dtype=torch.int64 if whole else torch.float32, device=device)
        last = self._legs[-1].sigmas[-1]
        self.sigmas = torch.tensor([*(ask.sigma for ask in self._asks), last], dtype=torch.float32)
        self.num_inference_steps = len(self._asks)
        if self._unscaled is not None:
            self._scale(self._unscaled)

    def _times(self) -> list[float]:
        """What the network is told with each question.

        Where one model hands over to another, a step's last question may be at the level the next step begins at; it is
        told a trifle more, by which the pipeline knows it as the first model's.
        """
        times = [self._levels.timestep(ask.sigma) for ask in self._asks]
        first, edge = self._swapped(times)
        return [
            time + _TRIFLE if time == edge and ask.step < first else time
            for ask, time in zip(self._asks, times, strict=True)
        ]

    def _swapped(self, times: Sequence[float]) -> tuple[int, float]:
        """(the step, the timestep) that the second model begins with; (0, -1) where there is none."""
        first = next((leg.first for leg in self._legs if leg.is_second), None)
        pairs = zip(self._asks, times, strict=True)
        return (0, -1.0) if first is None else (first, next(time for ask, time in pairs if ask.step == first))

    def swapped_below(self, steps: int) -> float:
        """The timestep below which the second model takes over a walk of so many steps."""
        probe: Any = deepcopy(self)
        probe.set_timesteps(steps)
        first, edge = probe._swapped([float(time) for time in probe.timesteps])
        return edge + _TRIFLE / 2 if first > 0 or edge < 0 else 2.0 * self._levels.steps

    def drew(self, latent: Any) -> None:
        """The pipeline has made the latent it begins with; of a flow model's noise the first level's share remains."""
        if self._noised or self._levels.kind != "flow" or not isinstance(latent, torch.Tensor):
            return
        if self._legs:
            self._scale(latent)
        else:
            self._unscaled = latent

    def _scale(self, latent: torch.Tensor) -> None:
        self._unscaled = None
        if abs((sigma := self._legs[0].sigmas[0]) - 1.0) > _SAME:
            latent.mul_(sigma)

    def scale_model_input(self, sample: torch.Tensor, *_args: Any, **_more: Any) -> torch.Tensor:
        return sample

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> Any:
        """A clean latent at the level of a timestep."""
        return self._with_noise(original_samples, noise, timesteps)

    def scale_noise(self, sample: Any, timestep: Any, noise: Any = None) -> Any:
        """The same, as flow models' schedulers call it."""
        return self._with_noise(sample, noise, timestep)

    def _with_noise(self, clean: Any, noise: Any, timestep: Any) -> Any:
        time = float(torch.as_tensor(timestep).flatten()[0])
        index = next((index for index, each in enumerate(self.timesteps) if float(each) == time), None)
        known = bool(self._asks) and index is not None
        levels, kind = self._levels, self._levels.kind
        sigma = self._asks[index].sigma if known and index is not None else levels.sigma_of(time)
        first = known and index == 0
        if known and isinstance(noise, torch.Tensor):
            noise = self._start_noise(noise)
        strength = start_scale(kind, sigma, levels.table.sigma_max) if first else sigma
        self._noised = self._noised or first
        return (clean * latent_scale(kind, sigma) + noise * strength) * input_scale(kind, sigma)

    def _start_noise(self, own: torch.Tensor) -> torch.Tensor:
        """What the picture's seed gives first, instead of `own`, which the pipeline drew behind what its VAE drew."""
        shape, way = tuple(own.shape), self.way
        places = way.places(shape)
        generator = torch.Generator("cpu").manual_seed((way.seed + way.batch.ahead) % 2**63)
        drawn = torch.randn(shape if places is None else tuple(places.shape), generator=generator)
        return (drawn if places is None else rearranged(drawn, places, shape)).to(own)

    def step(
        self,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        *_args: Any,
        return_dict: bool = True,
        per_token_timesteps: Any = None,
        **_more: Any,
    ) -> Any:
        """Answer the sampler's question; its next one, as the network sees it, or the end. Raises Cancelled.

        Tokens without noise are stepped with the others; pipelines that have such put them back afterwards.
        """
        question = self._asked(sample)
        kind, sigma = self._levels.kind, question.sigma
        x: Any = question.x if sample is self._given else sample.float() * (1.0 / input_scale(kind, sigma))
        said = model_output.float() if per_token_timesteps is None else -model_output.float()  # as such steps are told
        if said.shape != x.shape and said.shape[1] == 2 * x.shape[1]:
            said = said.chunk(2, dim=1)[0]  # what is learned of the variance follows
        keep, factor = denoised_factors(kind, sigma)

        def clean(output: torch.Tensor) -> torch.Tensor:
            return torch.add(x if keep == 1.0 else x * keep, output, alpha=factor)

        denoised = clean(said)
        answer = Guided(denoised, clean(self.way.unguided(said))) if self.way.wants_unguided else denoised
        result = self._advance(answer).to(sample.dtype)
        self._given, self._index = result, self._index + 1
        total = self._legs[-1].last
        done = total if self._question is None else self._question.step
        self.watch.walked(self._behind + done, self._behind + total, denoised)
        if not return_dict:
            return (result,)
        return DDIMSchedulerOutput(prev_sample=result, pred_original_sample=denoised.to(sample.dtype))

    def _asked(self, sample: torch.Tensor) -> Denoise:
        """The question under way; the sampler's first, if it has not begun."""
        if self._run is None:
            kind, shape, device = self._levels.kind, tuple(sample.shape), sample.device
            begun = sample.float() * (1.0 / input_scale(kind, self._legs[0].sigmas[0]))
            self._run = run_of(self._legs, begun, kind, lambda leg: self._noise(leg, shape, device))
            self._question = next(self._run)
        assert self._question is not None, "the walk has ended"
        return self._question

    def _noise(self, leg: Leg, shape: tuple[int, ...], device: torch.device) -> Noise:
        """What a leg's sampler draws; the second model's from the seed behind."""
        way, space = self.way, Space(self._levels.table)
        places = way.places(shape)
        arranged = shape if places is None else tuple(places.shape)
        seed = way.seed + leg.is_second
        drawn = noise_for(leg.sampler.noise, seed, arranged[1:], device, space, leg.sigmas, way.batch)
        return drawn if places is None else Arranged(drawn, places, shape)

    def _advance(self, answer: Any) -> torch.Tensor:
        """The next question's latent as the network sees it; the finished one where there is no more."""
        assert self._run is not None
        planned = self._asks[self._index + 1 :]
        try:
            question = self._question = self._run.send(answer)
        except StopIteration as end:
            self._question = None
            if planned:
                raise unforeseen(self.way.sampler) from None
            finished: torch.Tensor = end.value
            return finished
        if not planned or planned[0].sigma != question.sigma:
            raise unforeseen(self.way.sampler)
        x: Any = question.x
        seen: torch.Tensor = x * input_scale(self._levels.kind, question.sigma)
        return seen


def walking(own: Any, way: Way, watch: Watch) -> Any:
    """A scheduler with the settings and the class of `own`, whose steps are those of `way`, told to `watch`."""
    base = plain_kind(own)
    made = base.from_config(own.config)
    made.__class__ = _walking_class(base)
    made.way, made.watch = way, watch
    made._levels = way.levels
    return made


@cache
def _walking_class(base: Any) -> Any:
    # The same name: pipelines and configs go by it.
    return type(base.__name__, (Walking, base), {"__module__": base.__module__})
