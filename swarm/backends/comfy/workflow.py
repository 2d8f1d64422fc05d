"""Our jobs as ComfyUI workflows, built from its own nodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from swarm.backends.comfy.graph import Graph, Link
from swarm.backends.comfy.info import ComfyInfo
from swarm.base.errors import BackendError
from swarm.base.json import Json
from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.mask import MASK_IMAGE
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import END_STEPS_EARLY, SAMPLER, SCHEDULER
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Picture
from swarm.prompt.sections import split_sections

_EMBED = re.compile(r"<embed(?:ding)?:([^>]+)>")
_LAST_STEP = 10000


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """`nodes`: what `/prompt` takes. `outputs`: the node that holds each picture of the job, in their order."""

    nodes: Mapping[str, Json]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Loaded:
    model: Link
    clip: Link
    vae: Link


def uploads(job: Job) -> Iterator[tuple[str, Picture]]:
    """(parameter id, picture) of what must be there before the workflow runs."""
    for param in (INIT_IMAGE, MASK_IMAGE):
        picture = job.input.given(param)
        if picture is not None and (param is INIT_IMAGE or job.input.has(INIT_IMAGE)):
            yield param.id, picture


def workflow_of(job: Job, info: ComfyInfo, uploaded: Mapping[str, str]) -> Workflow:
    """`uploaded`: the server's names of the pictures of `uploads`. Raises BackendError for what it cannot express.

    Each picture of a batch has a sampler of its own, so that picture k comes from seed k, as everywhere else.
    """
    if job.model is None:
        raise BackendError("ComfyUI needs a model.")
    graph = Graph()
    loaded = _loaded(graph, job, job.model, info)
    prompts = [
        (graph.add("CLIPTextEncode", clip=loaded.clip, text=_text(job.input.get(prompt))), 0)
        for prompt in (PROMPT, NEGATIVE_PROMPT)
    ]
    start = _start(graph, job, loaded, uploaded)
    outputs = []
    for seed in job.seeds:
        sampled = graph.add(
            "KSamplerAdvanced",
            model=loaded.model,
            positive=prompts[0],
            negative=prompts[1],
            latent_image=start,
            noise_seed=seed,
            **_sampling(job, info),
        )
        decoded = graph.add("VAEDecode", samples=(sampled, 0), vae=loaded.vae)
        outputs.append(
            graph.add("PreviewImage" if "PreviewImage" in info.nodes else "SaveImage", **_saved(decoded, info))
        )
    return Workflow(nodes=graph.nodes, outputs=tuple(outputs))


def loading_workflow(model: ModelFile, info: ComfyInfo) -> Workflow:
    """The least that makes the server load a model: one step of a small picture."""
    graph = Graph()
    name = _own_name(info, "Stable-Diffusion", model)
    loader = graph.add("CheckpointLoaderSimple", ckpt_name=name)
    text = (graph.add("CLIPTextEncode", clip=(loader, 1), text=""), 0)
    empty = graph.add("EmptyLatentImage", width=256, height=256, batch_size=1)
    sampled = graph.add(
        "KSamplerAdvanced",
        model=(loader, 0),
        positive=text,
        negative=text,
        latent_image=(empty, 0),
        noise_seed=1,
        add_noise="enable",
        steps=1,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        start_at_step=0,
        end_at_step=_LAST_STEP,
        return_with_leftover_noise="disable",
    )
    decoded = graph.add("VAEDecode", samples=(sampled, 0), vae=(loader, 2))
    output = graph.add("PreviewImage" if "PreviewImage" in info.nodes else "SaveImage", **_saved(decoded, info))
    return Workflow(nodes=graph.nodes, outputs=(output,))


def _loaded(graph: Graph, job: Job, model: ModelFile, info: ComfyInfo) -> _Loaded:
    if model.name in info.bare_unets:
        raise BackendError(f"'{model.name}' is a bare diffusion model, which this backend cannot put together yet.")
    loader = graph.add("CheckpointLoaderSimple", ckpt_name=_own_name(info, "Stable-Diffusion", model))
    denoiser, clip, vae = (loader, 0), (loader, 1), (loader, 2)
    for lora in job.loras:
        node = graph.add(
            "LoraLoader",
            model=denoiser,
            clip=clip,
            lora_name=_own_name(info, "LoRA", lora.file),
            strength_model=lora.weight,
            strength_clip=lora.text_weight,
        )
        denoiser, clip = (node, 0), (node, 1)
    if "vae" in job.parts and job.input.values.get("vae"):
        vae = (graph.add("VAELoader", vae_name=_own_name(info, "VAE", job.parts["vae"])), 0)
    return _Loaded(model=denoiser, clip=clip, vae=vae)


def _start(graph: Graph, job: Job, loaded: _Loaded, uploaded: Mapping[str, str]) -> Link:
    width, height = job.input.get(WIDTH), job.input.get(HEIGHT)
    if INIT_IMAGE.id not in uploaded:
        return graph.add("EmptyLatentImage", width=width, height=height, batch_size=1), 0
    picture = _scaled(graph, uploaded[INIT_IMAGE.id], width, height)
    latent = graph.add("VAEEncode", pixels=picture, vae=loaded.vae)
    if MASK_IMAGE.id not in uploaded:
        return latent, 0
    mask = graph.add("ImageToMask", image=_scaled(graph, uploaded[MASK_IMAGE.id], width, height), channel="red")
    return graph.add("SetLatentNoiseMask", samples=(latent, 0), mask=(mask, 0)), 0


def _scaled(graph: Graph, name: str, width: int, height: int) -> Link:
    image = graph.add("LoadImage", image=name)
    return (
        graph.add(
            "ImageScale", image=(image, 0), upscale_method="lanczos", width=width, height=height, crop="disabled"
        ),
        0,
    )


def _sampling(job: Job, info: ComfyInfo) -> dict[str, str | int | float]:
    input = job.input
    steps = max(1, input.get(STEPS))
    creativity = input.get(INIT_IMAGE_CREATIVITY) if input.has(INIT_IMAGE_CREATIVITY) else 1.0
    first = round(steps * (1.0 - creativity)) if input.has(INIT_IMAGE) else 0
    last = round(steps * (1.0 - input.get(END_STEPS_EARLY))) if input.has(END_STEPS_EARLY) else _LAST_STEP
    sampler = input.get(SAMPLER) if input.has(SAMPLER) else "euler"
    scheduler = input.get(SCHEDULER) if input.has(SCHEDULER) else "normal"
    for word, known, wanted in (("sampler", info.samplers, sampler), ("scheduler", info.schedulers, scheduler)):
        if known and wanted not in known:
            raise BackendError(f"ComfyUI does not have the {word} '{wanted}'.")
    return {
        "add_noise": "enable",
        "steps": steps,
        "cfg": input.get(CFG_SCALE),
        "sampler_name": sampler,
        "scheduler": scheduler,
        "start_at_step": min(first, steps),
        "end_at_step": last,
        "return_with_leftover_noise": "disable",
    }


def _saved(decoded: str, info: ComfyInfo) -> dict[str, Link | str]:
    if "PreviewImage" in info.nodes:
        return {"images": (decoded, 0)}
    return {"images": (decoded, 0), "filename_prefix": "Swarm"}


def _text(prompt: str) -> str:
    """The part of the prompt that belongs to the picture itself, with embeddings as ComfyUI names them."""
    return _EMBED.sub(
        lambda found: f"embedding:{found[1].removesuffix('.safetensors')}", split_sections(prompt).for_base()
    )


def _own_name(info: ComfyInfo, subtype: str, file: ModelFile) -> str:
    """Raises BackendError when the server does not list it."""
    known = info.spelling.get(subtype, {})
    found = known.get(file.name) or known.get(file.name.removesuffix(".safetensors") + ".safetensors")
    if found is None:
        raise BackendError(f"ComfyUI does not have the model '{file.name}'.")
    return found
