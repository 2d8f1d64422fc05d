"""One walk of one picture in the batched tier: encode, sample by asking, finish; with the features' stages between.

Knows one picture only. Which pictures share a model call is the batcher's business; what a picture does before and
after a walk is told by its acts (engine/making.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from swarm.diffusion.guidance import combine, needs_negative
from swarm.diffusion.prediction import denoised_factors, input_scale, latent_scale, start_scale
from swarm.diffusion.sampler import Denoise, Guided, Sampler, SamplerRun
from swarm.diffusion.schedule import Schedule, ScheduleOptions, sigmas_for
from swarm.diffusion.space import Space
from swarm.engine.asked import as_asked
from swarm.engine.compiling import Regions
from swarm.engine.components import Components, Denoiser, Row
from swarm.engine.course import active_stages, part_of
from swarm.engine.device import Device
from swarm.engine.errands import Errands
from swarm.engine.first_block import FirstBlock, Memories
from swarm.engine.latents import seeded_noise, varied
from swarm.engine.loras.branches import Branches
from swarm.engine.parts import mixed
from swarm.engine.preview import Colours
from swarm.engine.prompts import Prompts, Told
from swarm.engine.step_cache import StepCache
from swarm.engine.step_noise import Sources, noise_for
from swarm.engine.tools import Predict, Tools
from swarm.features.core import CFG_SCALE, STEPS
from swarm.features.model_enhancements import MODEL_SPECIFIC_ENHANCEMENTS
from swarm.features.normalized_attention import away_in
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER, SAMPLER_RHO, SAMPLER_SIGMA_MAX, SAMPLER_SIGMA_MIN, SCHEDULER
from swarm.features.variation import VARIATION_SEED_STRENGTH
from swarm.jobs.acts import Act
from swarm.jobs.stage import Conditioning, Control, Pass, Patch, Stage, StageContext, StageFunction
from swarm.media.image import Pixels

_CLIMBER = "euler"
"""The sampler of walks upwards where the request's own goes only down."""
_NEAR = 1e-6
"""Shares of a walk closer than this are the same."""
_LOWEST = 1e-4
"""What the levels of a walk upwards are raised by, for it cannot begin at none."""


@dataclass(frozen=True, kw_only=True)
class Methods:
    """What can be chosen by id, and what features do: collected once when the engine starts."""

    samplers: Mapping[str, Sampler]
    schedules: Mapping[str, Schedule]
    stages: Sequence[StageFunction]
    acts: Sequence[Act] = ()
    patches: Sequence[Patch] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Loaded components with what is derived from them once. `second`: who answers for the negative prompt, where that
    is another model. `first_block`: leaves blocks out for rows that ask for it. `regions`: its blocks, compiled."""

    components: Components
    denoiser: Denoiser
    branches: Branches
    colours: Colours
    device: Device
    errands: Errands
    second: Model | None = None
    first_block: FirstBlock | None = None
    regions: Regions = field(default_factory=Regions)

    def answers(self, rows: Sequence[Row]) -> torch.Tensor:
        """The denoiser's outputs for rows of one entry of `together`: (n, C, h, w) float32."""
        model = self.second if rows[0].by_second else self
        assert model is not None, "these rows are for a second model"
        with model.branches.acting(rows[0].conditioning.loras):
            if model.first_block is None:
                return model.denoiser(rows)
            return model.first_block.answers(model.denoiser, rows)


class Sampling:
    """A walk of a picture. `prompt_steps`: how many steps `[a|b]` counts for a whole walk, None for the walk's own.
    `sources`: where walks find the noise of steps that others draw too.

    `question` is what its sampler waits for, None when it has finished. `total`: steps it takes in all; `done`: steps
    behind it. `latent`: where it ended. `result`: pixels, when a stage has answered without sampling.
    """

    denoised: torch.Tensor | None = None
    latent: torch.Tensor | None = None
    _x: torch.Tensor | None = None
    _given: tuple[torch.Tensor, float, torch.Tensor] | None = None
    _foretold: torch.Tensor | None = None
    _seen: torch.Tensor | None = None

    def __init__(
        self, model: Model, methods: Methods, of: Pass, prompt_steps: int | None = None, sources: Sources | None = None
    ) -> None:
        model = self.model = _told_to(model, of)
        self.of, self._sources = of, sources
        self._stages = active_stages(methods.stages, of)
        self._scale = of.input.get(CFG_SCALE)
        sampler = methods.samplers[of.input.given(SAMPLER) or model.components.architecture.default_sampler]
        self._sampler = methods.samplers[_CLIMBER] if of.climbs and not sampler.climbs else sampler
        self.context = _started(model, methods, of, self._predicted)
        self._prompts = Prompts(
            model.components.text,
            self.context,
            self._stages.get(Stage.ENCODE, ()),
            steps=prompt_steps or self.context.steps,
            with_negative=self._has_negative,
            sent=model.device.sent,
        )
        self._act(Stage.START)
        if of.climbs:
            self.context.sigmas = [sigma + _LOWEST for sigma in reversed(self.context.sigmas)]
        if self.context.concat is None:
            components = model.components
            self.context.concat = components.adapter.nothing_beside(components.denoiser, self.context.latent)
        if self.context.concat is not None:
            self.context.concat = model.device.sent(self.context.concat)
        self.result: Pixels | None = self.context.result
        self.total = max(0, len(self.context.sigmas) - 1) if self.result is None else 0
        self.done = 0
        self.question: Denoise | None = None
        self._in_parts = False
        self._cache = StepCache.wanted_by(of)
        self._memories = Memories.wanted_by(of)
        size, enhanced = of.told or (self.context.width, self.context.height), of.input.get(MODEL_SPECIFIC_ENHANCEMENTS)
        self._sizes = model.denoiser.size_numbers(*size, enhanced=enhanced)
        self._run = self._sampler_run()
        if self.result is None:
            self._advance(None)
        if self.question is not None:
            self._prompts.at(self._share(self.question))

    @property
    def _has_negative(self) -> bool:
        wanted = any(function.wants_negative for functions in self._stages.values() for function in functions)
        return needs_negative(self._scale) or self._sampler.wants_unguided or wanted

    @property
    def row_count(self) -> int:
        """How many lines `rows()` has at most."""
        told = self._told(self._asked())
        return len(told.positive) + len(told.negative)

    def rows(self) -> list[Row]:
        """The lines of the next model call: the prompt's, then the negative prompt's where guidance needs one.

        None at all when the answer is known without the network.
        """
        question, context = self._asked(), self.context
        x: Any = question.x
        if Stage.BEFORE in self._stages:
            context.x, context.sigma, context.step = question.x, question.sigma, question.step
            self._act(Stage.BEFORE)
            x = context.x
        self._x = x
        told = self._told(question)
        self._in_parts = len(told.positive) > 1 or len(told.negative) > 1
        sizes = self._sizes
        second = self.model.second is not None
        against = [self._row(x, question, each, sizes[1], by_second=second) for each in told.negative]
        rows = [*(self._row(x, question, each, sizes[0]) for each in told.positive), *against]
        for place, away in enumerate(away_in(row.conditioning) for row in rows):
            if away is not None and not rows[place].by_second:
                partner = replace(rows[place], conditioning=away.told, size=sizes[0 if away.turned else 1])
                rows[place] = replace(rows[place], away=partner)
        if self._cache is not None:
            self._seen = rows[0].x
            self._foretold = self._cache.foretold(self._seen, [row.conditioning for row in rows], self._share(question))
        if self._foretold is not None:
            return []
        return rows if self._memories is None else self._memories.carried(rows)

    def answer(self, outputs: torch.Tensor | None) -> None:
        """What the network said to `rows()`, in the same order; moves on to the next question or to the end.

        None when `rows()` had none: the answer was known.
        """
        question, x = self._asked(), self._x
        if outputs is None:
            outputs, self._foretold = self._foretold, None
        elif self._cache is not None and self._seen is not None:
            self._cache.learn(self._seen, outputs)
        assert x is not None and outputs is not None, "rows() comes before answer()"
        keep, factor = denoised_factors(self.model.components.prediction, question.sigma)
        guides = Stage.GUIDE in self._stages or self._sampler.wants_unguided
        if guides or self._in_parts or self.model.second is not None:
            self._advance(self._guided(question, x, outputs, keep, factor))
            return
        said = outputs if len(outputs) == 1 else combine(outputs[:1], outputs[1:], self._scale)
        self.denoised = torch.add(x if keep == 1.0 else x * keep, said, alpha=factor)
        self._advance(self.denoised)

    def move_to(self, model: Model) -> None:
        """Go on with the same weights, loaded anew."""
        model = self.model = _told_to(model, self.of)
        self.context.tools = Tools(model, self.of, self._predicted)
        self._prompts.text = model.components.text

    def close(self) -> None:
        """End early; nothing more will be asked."""
        if self._run is not None:
            self._run.close()
        self.question = self._memories = None

    def _asked(self) -> Denoise:
        assert self.question is not None, "a finished picture has no rows"
        return self.question

    def _told(self, question: Denoise) -> Told:
        """What counts at this step of what the prompts say; at least one positive."""
        share = self._share(question)
        told = self._prompts.at(share)
        if len(told.positive) == 1 and len(told.negative) < 2:
            return told
        positive = [each for each in told.positive if each.counts_at(share)] or told.positive[:1]
        return Told(positive, [each for each in told.negative if each.counts_at(share)] or told.negative[:1])

    def _share(self, question: Denoise) -> float:
        """How much of the noise the model was trained on lies behind, in even steps: what starts and ends by shares of
        the walk does so at noise levels, whatever the schedule."""
        return Space(self.model.components.table).share_at(question.sigma)

    def _row(
        self,
        x: torch.Tensor,
        question: Denoise,
        conditioning: Conditioning,
        size: tuple[float, ...],
        *,
        by_second: bool = False,
    ) -> Row:
        asked, context = self.model.second if by_second else self.model, self.context
        assert asked is not None
        components = asked.components
        controls: tuple[Control, ...] = ()
        if context.controls:
            share = self._share(question)
            controls = tuple(one for one in context.controls if one.start <= share + _NEAR and share - _NEAR <= one.end)
        return Row(
            x=self._scaled(x, input_scale(components.prediction, question.sigma)),
            timestep=components.table.nearest_t(question.sigma),
            sigma=question.sigma,
            conditioning=conditioning,
            size=size,
            concat=context.concat,
            guidance=context.guidance,
            controls=controls,
            by_second=by_second,
        )

    def _scaled(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        """`x` as the network is given it: one tensor for all rows of a call."""
        if self._given is None or self._given[0] is not x or self._given[1] != scale:
            self._given = x, scale, x if scale == 1.0 else x * scale
        return self._given[2]

    def _predicted(
        self, x: torch.Tensor, sigma: float, conditioning: Conditioning, variant: str
    ) -> tuple[torch.Tensor, Any]:
        """One model call of its own: the clean latent, and what the variant saw."""
        components, context = self.model.components, self.context
        size = self._sizes[any(conditioning is each for each in context.negative)]
        row = self._row(x, Denoise(x, sigma, context.step), conditioning, size)
        ways = components.adapter.variants
        with ways[variant](components.denoiser) if variant else nullcontext() as seen:
            said = self.model.answers([row])
        keep, factor = denoised_factors(components.prediction, sigma)
        return torch.add(x * keep, said, alpha=factor), seen

    def _guided(
        self, question: Denoise, x: torch.Tensor, outputs: torch.Tensor, keep: float, factor: float
    ) -> torch.Tensor | Guided:
        """The same, for prompts of several parts and through the stages that shape guidance."""
        context, told = self.context, self._told(question)
        context.x, context.sigma, context.step = x, question.sigma, question.step
        count = len(told.positive)
        context.cond = mixed(x * keep + outputs[:count] * factor, told.positive)
        if self.model.second is not None:
            keep, factor = denoised_factors(self.model.second.components.prediction, question.sigma)
        context.uncond = mixed(x * keep + outputs[count:] * factor, told.negative) if told.negative else None
        context.denoised = context.cond
        if context.uncond is not None:
            context.denoised = combine(context.cond, context.uncond, self._scale)
        context.positive, context.negative = told.positive, told.negative
        self._act(Stage.GUIDE)
        denoised: torch.Tensor = context.denoised
        self.denoised = denoised
        if not self._sampler.wants_unguided:
            return denoised
        return Guided(denoised, denoised if context.uncond is None else context.uncond)

    def _advance(self, answer: torch.Tensor | Guided | None) -> None:
        if self._run is None:
            self._finish(self.model.device.sent(self.context.latent))
            return
        try:
            # A generator that has not started can only be sent None.
            self.question = self._run.send(answer)  # type: ignore[arg-type]
            self.done = self.question.step
        except StopIteration as end:
            self._finish(end.value)

    def _finish(self, latent: torch.Tensor) -> None:
        self.question, self._memories, self.done = None, None, self.total
        self.context.latent = latent
        self._act(Stage.FINISH)
        self.latent = self.context.latent

    def _act(self, point: Stage) -> None:
        for function in self._stages.get(point, ()):
            function.run(self.context)

    def _sampler_run(self) -> SamplerRun | None:
        """The sampler, about to begin; None when there is no step to take."""
        context, components = self.context, self.model.components
        if self.total == 0:
            return None
        sigma = context.sigmas[0]
        device = self.model.device
        x = device.sent(context.latent)
        if self.of.adds_noise:
            noise = device.sent(context.noise) * start_scale(components.prediction, sigma, components.table.sigma_max)
            x = x * latent_scale(components.prediction, sigma) + noise
        kind, space = self._sampler.noise, Space(components.table)
        seed, shape = self.of.first_seed, x.shape[1:]
        steps = noise_for(
            kind, seed, shape, device.place, space, context.sigmas, context.batch, self._sources, device.sent
        )
        return self._sampler.run(x, context.sigmas, steps)


def _told_to(model: Model, of: Pass) -> Model:
    """The model as this walk's request wants it to be seen."""
    components = as_asked(model.components, of.input)
    second = None if model.second is None else _told_to(model.second, of)
    if components is model.components and second is model.second:
        return model
    return replace(model, components=components, second=second)


def _started(model: Model, methods: Methods, of: Pass, predict: Predict) -> StageContext:
    """A walk's context before its first stage: noise, an empty latent or the one given, the schedule it walks."""
    components, request = model.components, of.input
    factor = components.vae_factor
    width, height = max(1, request.get(WIDTH) // factor), max(1, request.get(HEIGHT) // factor)
    shape = (components.vae.channels, height, width)
    noise = seeded_noise(of.seed, shape)
    strength = request.get(VARIATION_SEED_STRENGTH)
    if strength > 0 and of.variation_seed is not None:
        noise = varied(noise, seeded_noise(of.variation_seed, shape), strength)
    sigmas = _sigmas(components, methods, of, shape)
    return StageContext(
        input=request,
        of=of,
        seed=of.seed,
        batch=of.batch,
        width=shape[2] * factor,
        height=shape[1] * factor,
        steps=request.get(STEPS),
        tools=Tools(model, of, predict),
        files=of.files,
        is_flow=components.is_flow,
        latent=torch.zeros((1, *shape)) if of.latent is None else of.latent.float(),
        noise=noise,
        sigmas=part_of(sigmas, of),
        first_step=min(of.first_step, len(sigmas)),
    )


def _sigmas(components: Components, methods: Methods, of: Pass, shape: tuple[int, int, int]) -> list[float]:
    """The whole schedule, falling to 0; empty for 0 steps. `shape`: of the latent, (C, h, w)."""
    request, architecture = of.input, components.architecture
    _, height, width = shape
    options = ScheduleOptions(
        sigma_min=request.given(SAMPLER_SIGMA_MIN),
        sigma_max=request.given(SAMPLER_SIGMA_MAX),
        rho=request.given(SAMPLER_RHO),
        compat=architecture.compat.id,
        cells=width * height,
    )
    schedule = methods.schedules[request.given(SCHEDULER) or architecture.default_schedule]
    sampler = methods.samplers[request.given(SAMPLER) or architecture.default_sampler]
    return sigmas_for(sampler, schedule, request.get(STEPS), components.table, options)
