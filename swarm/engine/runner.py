"""One picture of the batched tier: encode, sample by asking, finish; with the features' stages at their points.

Knows one picture only. Which pictures share a model call is the batcher's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from swarm.diffusion.guidance import combine, needs_negative
from swarm.diffusion.prediction import denoised_factors, input_scale, latent_scale, start_scale
from swarm.diffusion.sampler import Denoise, Sampler, SamplerRun
from swarm.diffusion.schedule import Schedule, ScheduleOptions
from swarm.engine.adapters.unet import Row, UnetDenoiser
from swarm.engine.decode import encode, opened
from swarm.engine.device import Device
from swarm.engine.latents import StepNoise, seeded_noise, varied
from swarm.engine.loader import Components
from swarm.engine.preview import Colours
from swarm.features.conditioning import CLIP_STOP_AT_LAYER
from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import SAMPLER, SAMPLER_RHO, SAMPLER_SIGMA_MAX, SAMPLER_SIGMA_MIN, SCHEDULER
from swarm.features.variation import VARIATION_SEED_STRENGTH
from swarm.jobs.job import Job
from swarm.jobs.stage import Conditioning, Stage, StageContext, StageFunction
from swarm.media.image import Picture, Pixels
from swarm.prompt.alternation import ScheduledText, prompt_schedule


@dataclass(frozen=True, kw_only=True)
class Methods:
    """What can be chosen by id: collected once when the engine starts."""

    samplers: Mapping[str, Sampler]
    schedules: Mapping[str, Schedule]
    stages: Sequence[StageFunction]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Loaded components with what is derived from them once."""

    components: Components
    denoiser: UnetDenoiser
    colours: Colours
    device: Device


class Tools:
    """What the engine does for stage functions (jobs.stage.StageTools)."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def encode_picture(
        self, picture: Picture, *, width: int, height: int, noise: float, noise_seed: int
    ) -> torch.Tensor:
        image = opened(picture, width, height)
        return encode(self._model.components, self._model.device, image, noise=noise, noise_seed=noise_seed)

    def pixels(self, picture: Picture, *, width: int, height: int) -> Pixels:
        image = opened(picture, width, height)
        return Pixels(width=width, height=height, mode="RGB", data=image.tobytes())


class Sampling:
    """A picture while it is sampled. `question` is what its sampler waits for, None when it has finished.

    `total`: steps it takes in all; `done`: steps behind it. `latent`: the finished latent. `result`: pixels, when a
    stage has answered without sampling.
    """

    def __init__(self, model: Model, methods: Methods, job: Job, index: int) -> None:
        self.model = model
        self._stages = active_stages(methods.stages, job)
        self._scale = job.input.get(CFG_SCALE)
        self.context = _started(model, methods, job, index)
        self._prompts = Prompts(model, job, self.context, self._stages.get(Stage.ENCODE, ()))
        self._act(Stage.START)
        self.result: Pixels | None = self.context.result
        self.total = max(0, len(self.context.sigmas) - 1) if self.result is None else 0
        self.done = 0
        self.denoised: torch.Tensor | None = None
        self.question: Denoise | None = None
        self.latent: torch.Tensor | None = None
        self._size = model.denoiser.size_numbers(self.context.width, self.context.height)
        self._run = self._sampler_run(methods, job)
        if self.result is None:
            self._advance(None)
        if self.question is not None:
            self._prompts.at(self.question.step)

    @property
    def row_count(self) -> int:
        """How many lines `rows()` has."""
        return 2 if needs_negative(self._scale) else 1

    def rows(self) -> list[Row]:
        """The lines of the next model call: the prompt's, then the negative prompt's where guidance needs one."""
        question = self._asked()
        components = self.model.components
        x = question.x * input_scale(components.prediction, question.sigma)
        timestep = components.table.nearest_t(question.sigma)
        positive, negative = self._prompts.at(question.step)
        conditionings = [positive] if negative is None else [positive, negative]
        return [Row(x=x, timestep=timestep, conditioning=each, size=self._size) for each in conditionings]

    def answer(self, outputs: torch.Tensor) -> None:
        """What the network said to `rows()`, in the same order; moves on to the next question or to the end."""
        question = self._asked()
        keep, factor = denoised_factors(self.model.components.prediction, question.sigma)
        if Stage.GUIDE in self._stages:
            self.denoised = self._guided(question, outputs, keep, factor)
        else:
            said = outputs if len(outputs) == 1 else combine(outputs[:1], outputs[1:], self._scale)
            self.denoised = torch.add(question.x if keep == 1.0 else question.x * keep, said, alpha=factor)
        self._advance(self.denoised)

    def move_to(self, model: Model) -> None:
        """Go on with the same weights, loaded anew."""
        self.model = model
        self.context.tools = Tools(model)
        self._prompts.text = model.components.text

    def close(self) -> None:
        """End early; nothing more will be asked."""
        if self._run is not None:
            self._run.close()
        self.question = None

    def _asked(self) -> Any:
        assert self.question is not None, "a finished picture has no rows"
        return self.question

    def _guided(self, question: Any, outputs: torch.Tensor, keep: float, factor: float) -> torch.Tensor:
        """The same, through the stages that shape guidance."""
        context = self.context
        context.x, context.sigma, context.step = question.x, question.sigma, question.step
        predictions = question.x * keep + outputs * factor
        context.cond, context.uncond = predictions[:1], predictions[1:] if len(outputs) > 1 else None
        context.denoised = context.cond
        if context.uncond is not None:
            context.denoised = combine(context.cond, context.uncond, self._scale)
        self._act(Stage.GUIDE)
        denoised: torch.Tensor = context.denoised
        return denoised

    def _advance(self, denoised: torch.Tensor | None) -> None:
        if self._run is None:
            self._finish(self.context.latent)
            return
        try:
            # A generator that has not started can only be sent None.
            self.question = self._run.send(denoised)  # type: ignore[arg-type]
            self.done = self.question.step
        except StopIteration as end:
            self._finish(end.value)

    def _finish(self, latent: torch.Tensor) -> None:
        self.question, self.done = None, self.total
        self.context.latent = latent
        self._act(Stage.FINISH)
        self.latent = self.context.latent

    def _act(self, point: Stage) -> None:
        for function in self._stages.get(point, ()):
            function.run(self.context)

    def _sampler_run(self, methods: Methods, job: Job) -> SamplerRun | None:
        """The sampler, about to begin; None when there is no step to take."""
        context, components = self.context, self.model.components
        if self.total == 0:
            return None
        sampler = methods.samplers[job.input.given(SAMPLER) or components.architecture.default_sampler]
        sigma = context.sigmas[0]
        device = self.model.device.place
        noise = context.noise.to(device) * start_scale(components.prediction, sigma, components.table.sigma_max)
        x = context.latent.to(device) * latent_scale(components.prediction, sigma) + noise
        steps = StepNoise(context.seed + 1, x.shape[1:], device)
        return sampler.run(x, context.sigmas, steps)


class Prompts:
    """The conditioning of each step: positive, and negative where guidance needs one.

    Prompts that change on the way are encoded once per distinct text.
    """

    def __init__(self, model: Model, job: Job, context: StageContext, stages: Sequence[StageFunction]) -> None:
        self.text = model.components.text
        self._context = context
        self._stages = stages
        self._layer = job.input.given(CLIP_STOP_AT_LAYER)
        self._positive = prompt_schedule(job.input.get(PROMPT), context.steps)
        self._negative = None
        if needs_negative(job.input.get(CFG_SCALE)):
            self._negative = prompt_schedule(job.input.get(NEGATIVE_PROMPT), context.steps)
        self._made: dict[tuple[str, str | None], tuple[Conditioning, Conditioning | None]] = {}

    def at(self, step: int) -> tuple[Conditioning, Conditioning | None]:
        """What the denoiser is told at `step` of the sigmas that are walked."""
        whole = step + self._context.first_step
        positive = _text_at(self._positive, whole)
        negative = None if self._negative is None else _text_at(self._negative, whole)
        known = self._made.get((positive, negative))
        if known is None:
            known = self._made[positive, negative] = self._encoded(positive, negative)
        return known

    def _encoded(self, positive: str, negative: str | None) -> tuple[Conditioning, Conditioning | None]:
        context = self._context
        context.positive = self.text.encode(positive, self._layer)
        context.negative = None if negative is None else self.text.encode(negative, self._layer)
        for function in self._stages:
            function.run(context)
        return context.positive, context.negative


def _text_at(ranges: Sequence[ScheduledText], step: int) -> str:
    return next((part.text for part in ranges if part.start <= step < part.end), ranges[-1].text)


def active_stages(stages: Sequence[StageFunction], job: Job) -> dict[Stage, list[StageFunction]]:
    """The stage functions this job's request switches on, by point, in their order."""
    active: dict[Stage, list[StageFunction]] = {}
    for function in sorted(stages, key=lambda function: (function.order, function.id)):
        if job.input.has(function.when):
            active.setdefault(function.stage, []).append(function)
    return active


def _started(model: Model, methods: Methods, job: Job, index: int) -> StageContext:
    """A picture's context before its first stage: noise, an empty latent, the whole schedule."""
    components, request = model.components, job.input
    factor = components.vae_factor
    shape = (
        int(components.vae.config.latent_channels),
        max(1, request.get(HEIGHT) // factor),
        max(1, request.get(WIDTH) // factor),
    )
    noise = seeded_noise(job.seeds[index], shape)
    strength = request.get(VARIATION_SEED_STRENGTH)
    if strength > 0 and job.variation_seeds:
        noise = varied(noise, seeded_noise(job.variation_seeds[index], shape), strength)
    return StageContext(
        input=request,
        index=index,
        seed=job.seeds[index],
        width=shape[2] * factor,
        height=shape[1] * factor,
        steps=request.get(STEPS),
        tools=Tools(model),
        latent=torch.zeros((1, *shape)),
        noise=noise,
        sigmas=_sigmas(components, methods, job),
    )


def _sigmas(components: Components, methods: Methods, job: Job) -> list[float]:
    """The whole schedule, falling to 0; empty for 0 steps."""
    request, architecture = job.input, components.architecture
    steps = request.get(STEPS)
    if steps < 1:
        return []
    options = ScheduleOptions(
        sigma_min=request.given(SAMPLER_SIGMA_MIN),
        sigma_max=request.given(SAMPLER_SIGMA_MAX),
        rho=request.given(SAMPLER_RHO),
        compat=architecture.compat.id,
    )
    schedule = methods.schedules[request.given(SCHEDULER) or architecture.default_schedule]
    sampler = methods.samplers[request.given(SAMPLER) or architecture.default_sampler]
    if not sampler.discards_penultimate:
        return schedule.sigmas(steps, components.table, options)
    sigmas = schedule.sigmas(steps + 1, components.table, options)
    return [*sigmas[:-2], sigmas[-1]]
