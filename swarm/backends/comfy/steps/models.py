"""Loads the model: a whole checkpoint, or a bare diffusion model with its text encoders and VAE; then its LoRAs."""

from __future__ import annotations

from swarm.backends.comfy.building import Building, ComfyStep, Loaded
from swarm.backends.comfy.graph import Link
from swarm.base.errors import BackendError
from swarm.features.conditioning import CLIP_STOP_AT_LAYER
from swarm.features.core import MODEL
from swarm.features.lora import LORA_SECTION_CONFINEMENT, LORA_TENC_WEIGHTS, LORA_WEIGHTS, LORAS
from swarm.features.text_encoders import CLIP_G_MODEL, CLIP_L_MODEL, T5_XXL_MODEL
from swarm.features.vae import AUTOMATIC_VAE, VAE
from swarm.jobs.job import LoraUse, ModelFile
from swarm.prompt.sections import Section

BASE = (Section.EVERYWHERE, Section.GLOBAL, Section.BASE)
_ENCODERS = {
    "flux.1": ("flux", ("clip_l", "t5xxl")),
    "stable-diffusion-v3": ("sd3", ("clip_l", "clip_g", "t5xxl")),
    "chroma": ("chroma", ("t5xxl",)),
    "qwen-image": ("qwen_image", ("qwen2.5vl",)),
    "flux.2": ("flux2", ("mistral", "qwen3", "qwen3_8b")),
    "lumina-2": ("lumina2", ("gemma2",)),
    "z-image": ("lumina2", ("qwen3",)),
    "pixart": ("pixart", ("t5xxl",)),
}
"""By how a family's id begins: the loader's `type`, and the slots of the encoders it takes, all or one of them."""


def load(building: Building) -> None:
    """The job's model with its LoRAs, and the VAE."""
    file = building.job.model
    if file is None:
        raise BackendError("ComfyUI needs a model.")
    loaded = loaded_model(building, file)
    vae = building.job.parts.get("vae")
    if vae is not None and (building.job.input.has(VAE) or building.get(AUTOMATIC_VAE)):
        loaded = Loaded(model=loaded.model, clip=loaded.clip, vae=vae_of(building, vae))
    clip = loaded.clip
    layer = building.given(CLIP_STOP_AT_LAYER)
    if layer is not None:
        clip = building.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=layer)
    building.base = with_loras(building, Loaded(model=loaded.model, clip=clip, vae=loaded.vae), building.loras(*BASE))
    building.vae = building.base.vae


def family_of(file: ModelFile | None) -> str:
    """The id of a model's family in lower case, "" for none."""
    return "" if file is None else (file.family or "").lower()


def loaded_model(building: Building, file: ModelFile) -> Loaded:
    """A model as it is in its files."""
    if file.name not in building.info.bare_unets:
        loader, _ = building.add("CheckpointLoaderSimple", ckpt_name=building.own_name("Stable-Diffusion", file))
        return Loaded(model=(loader, 0), clip=(loader, 1), vae=(loader, 2))
    name = building.own_name("Stable-Diffusion", file)
    denoiser = building.add("UNETLoader", unet_name=name, weight_dtype="default")
    vae = building.job.parts.get("vae")
    if vae is None:
        raise BackendError(
            f"'{file.name}' holds no VAE, and none that fits is known. Choose one with the parameter VAE."
        )
    return Loaded(model=denoiser, clip=_encoders(building, file), vae=vae_of(building, vae))


def _encoders(building: Building, file: ModelFile) -> Link:
    known = next((value for start, value in _ENCODERS.items() if family_of(file).startswith(start)), None)
    if known is None:
        raise BackendError(f"'{file.name}' is a bare diffusion model of a kind this backend cannot put together.")
    kind, slots = known
    files = [building.job.parts[slot] for slot in slots if slot in building.job.parts]
    if not files or (len(files) < len(slots) and kind == "flux"):
        raise BackendError(
            f"'{file.name}' needs text encoders ({', '.join(slots)}) that are not among the models here."
        )
    names = [building.own_name("Clip", one) for one in files]
    if len(names) == 1:
        return building.add("CLIPLoader", clip_name=names[0], type=kind)
    if len(names) == 2:
        return building.add("DualCLIPLoader", clip_name1=names[0], clip_name2=names[1], type=kind)
    return building.add("TripleCLIPLoader", clip_name1=names[0], clip_name2=names[1], clip_name3=names[2])


def vae_of(building: Building, file: ModelFile) -> Link:
    return building.add("VAELoader", vae_name=building.own_name("VAE", file))


def with_loras(building: Building, loaded: Loaded, uses: tuple[LoraUse, ...]) -> Loaded:
    """A model with LoRAs, one node each."""
    for use in uses:
        node, _ = building.add(
            "LoraLoader",
            model=loaded.model,
            clip=loaded.clip,
            lora_name=building.own_name("LoRA", use.file),
            strength_model=use.weight,
            strength_clip=use.text_weight,
        )
        loaded = Loaded(model=(node, 0), clip=(node, 1), vae=loaded.vae)
    return loaded


LOAD = ComfyStep(
    id="load",
    order=0,
    run=load,
    params=(
        MODEL, LORAS, LORA_WEIGHTS, LORA_TENC_WEIGHTS, LORA_SECTION_CONFINEMENT, VAE, AUTOMATIC_VAE, CLIP_L_MODEL,
        CLIP_G_MODEL, T5_XXL_MODEL, CLIP_STOP_AT_LAYER,
    ),
)  # fmt: skip
