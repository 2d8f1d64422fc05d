"""Our jobs as ComfyUI workflows, built from its own nodes by the steps of comfy/steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import swarm.backends.comfy.steps
from swarm.architectures.architecture import Architecture
from swarm.backends.comfy.building import Building, ComfyStep
from swarm.backends.comfy.info import ComfyInfo
from swarm.backends.comfy.steps.ending import saved
from swarm.backends.comfy.steps.models import loaded_model
from swarm.backends.comfy.steps.sampling import LAST_STEP
from swarm.base.json import Json
from swarm.base.registry import collect
from swarm.features.controlnet_slots import SLOTS
from swarm.features.init_image import INIT_IMAGE
from swarm.features.mask import MASK_IMAGE
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Picture
from swarm.params.input import GenerationInput

STEPS = sorted(collect(swarm.backends.comfy.steps, ComfyStep).values(), key=lambda step: step.order)
UNDERSTOOD = frozenset(param.id for step in STEPS for param in step.params)
NOT_OURS = frozenset({
    "altresolutionheightmultiplier", "aspectratio", "batchsize", "continueaftererrors", "donotsave", "exactbackendid",
    "forwardswarmdata", "height", "imageformat", "images", "internalbackendtype", "modelspecificenhancements",
    "noloadmodels", "nopreviews", "noseedincrement", "overrideoutpathformat", "personalnote", "rawresolution", "seed",
    "sidelength", "smartimagepromptresizing", "torchcompile", "webhooks", "width", "wildcardseed",
    "wildcardseedbehavior",
})  # fmt: skip
"""Parameters that the server has dealt with before a workflow is made, or that change no picture."""
_PICTURES = (INIT_IMAGE, MASK_IMAGE, *(slot.image for slot in SLOTS))


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """`nodes`: what `/prompt` takes. `outputs`: the node that holds each picture of the job, in their order."""

    nodes: Mapping[str, Json]
    outputs: tuple[str, ...]


def uploads(job: Job) -> Iterator[tuple[str, Picture]]:
    """(parameter id, picture) of what must be there before the workflow runs."""
    for param in _PICTURES:
        picture = job.input.given(param)
        if picture is not None and (param is not MASK_IMAGE or job.input.has(INIT_IMAGE)):
            yield param.id, picture


def workflow_of(
    job: Job,
    info: ComfyInfo,
    uploaded: Mapping[str, str],
    architectures: Mapping[str, Architecture] = MappingProxyType({}),
) -> Workflow:
    """`uploaded`: the server's names of the pictures of `uploads`. `architectures`: model classes by id.

    Raises BackendError for what it cannot express.

    Each picture of a batch has a sampler of its own, so that picture k starts from seed k, as everywhere else. What is
    drawn on the way is then that of a picture alone.
    """
    building = Building(job=job, info=info, uploaded=uploaded, architectures=architectures)
    for step in STEPS:
        if not step.per_picture:
            step.run(building)
    vae = building.vae
    for seed in job.seeds:
        building.seed, building.vae = seed, vae
        for step in STEPS:
            if step.per_picture:
                step.run(building)
    return Workflow(nodes=building.graph.nodes, outputs=tuple(building.outputs))


def features_of(info: ComfyInfo) -> frozenset[str]:
    """The flags of what our workflows do there; not of all that its nodes could."""
    able = (step for step in STEPS if info.nodes.issuperset(step.nodes))
    return info.features.union(*(step.features for step in able))


def refused(params: frozenset[str]) -> str | None:
    """Why a request that sets these parameters cannot be made a workflow; None when it can."""
    beyond = sorted(params - UNDERSTOOD - NOT_OURS)
    return f"Workflows for ComfyUI cannot express the parameter '{beyond[0]}'" if beyond else None


def loading_workflow(model: ModelFile, info: ComfyInfo) -> Workflow:
    """The least that makes the server load a model: one step of a small picture."""
    job = Job(id="", input=GenerationInput(), model=model, parts=dict(model.companions), seeds=(1,))
    building = Building(job=job, info=info, uploaded={})
    loaded = loaded_model(building, model)
    text = building.add("CLIPTextEncode", clip=loaded.clip, text="")
    sampled = building.add(
        "KSamplerAdvanced",
        model=loaded.model,
        positive=text,
        negative=text,
        latent_image=building.add("EmptyLatentImage", width=256, height=256, batch_size=1),
        noise_seed=1,
        add_noise="enable",
        steps=1,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        start_at_step=0,
        end_at_step=LAST_STEP,
        return_with_leftover_noise="disable",
    )
    saved(building, building.add("VAEDecode", samples=sampled, vae=loaded.vae))
    return Workflow(nodes=building.graph.nodes, outputs=tuple(building.outputs))
