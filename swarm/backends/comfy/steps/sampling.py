"""The base walk: KSamplerAdvanced with the request's steps, from where the init image lets it begin."""

from __future__ import annotations

from typing import Any

from swarm.backends.comfy.building import Building, ComfyStep, need
from swarm.base.errors import BackendError
from swarm.features.core import CFG_SCALE, STEPS
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.refiner import begins_at, control, method_of
from swarm.features.sampling import END_STEPS_EARLY, SAMPLER, SCHEDULER
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput
from swarm.prompt.sections import Section

LAST_STEP = 10000


def sample(building: Building) -> None:
    """Leaves `latent`."""
    assert building.base is not None, "the steps are out of order"
    input = building.job.input
    for param in (SAMPLER, SCHEDULER):
        own: Any = input.given_within(param, Section.BASE)
        input = input if own is None else input.having(param, own)
    steps, last, leaves_noise = max(1, input.get(STEPS)), LAST_STEP, False
    creativity = input.given(INIT_IMAGE_CREATIVITY)
    first = 0 if creativity is None or not input.has(INIT_IMAGE) else begins_at(steps, creativity)
    if input.get(END_STEPS_EARLY) > 0:
        last = int(steps * (1.0 - input.get(END_STEPS_EARLY)))
    share = control(input)
    if share is not None and method_of(input) != "PostApply":
        last, leaves_noise = begins_at(steps, share), method_of(input) == "StepSwapNoisy"
    building.latent = building.add(
        "KSamplerAdvanced",
        model=building.base.model,
        positive=need(building.positive),
        negative=need(building.negative),
        latent_image=need(building.start),
        noise_seed=building.seed,
        add_noise="enable",
        start_at_step=min(first, steps),
        end_at_step=last,
        return_with_leftover_noise="enable" if leaves_noise else "disable",
        **solving(building, input, steps, building.job.model),
    )


def solving(
    building: Building, input: GenerationInput, steps: int, model: ModelFile | None
) -> dict[str, str | int | float]:
    """How a walk of `model` is solved: as asked, else as its family is where the server can, else by Euler's method.
    Raises BackendError for a solver that the server does not have."""
    info = building.info
    family = building.architectures.get((model.family if model is not None else None) or "")
    sampler, scheduler = input.given(SAMPLER), input.given(SCHEDULER)
    if sampler is None:
        sampler = family.default_sampler if family and family.default_sampler in info.samplers else "euler"
    if scheduler is None:
        scheduler = family.default_schedule if family and family.default_schedule in info.schedulers else "normal"
    for word, known, wanted in (("sampler", info.samplers, sampler), ("scheduler", info.schedulers, scheduler)):
        if known and wanted not in known:
            raise BackendError(f"ComfyUI does not have the {word} '{wanted}'.")
    return {"steps": steps, "cfg": input.get(CFG_SCALE), "sampler_name": sampler, "scheduler": scheduler}


SAMPLE = ComfyStep(
    id="sample",
    order=50,
    run=sample,
    per_picture=True,
    params=(STEPS, CFG_SCALE, SAMPLER, SCHEDULER, END_STEPS_EARLY),
    features=("endstepsearly",),
)
