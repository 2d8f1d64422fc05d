"""Reads Stable Diffusion's UNet families: whole checkpoints, UNets beside their companions, diffusers folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.companions import TEXT_ENCODERS
from swarm.architectures.families.latents import PLAYGROUND_LATENT
from swarm.base.errors import BadInput
from swarm.engine.components import Parts, Source
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.keys import unet_key
from swarm.engine.files.shapes import diffusers_unet_config, unet_config, unet_layers
from swarm.engine.loader import Config, built, fill, read_json
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.vaes.playground_vae import PlaygroundVae
from swarm.engine.words.encoders import clip_big, clip_l, from_folder, lacking
from swarm.engine.words.text import ClipEncoder, ClipText
from swarm.engine.words.tokenizer import clip_tokenizer

UNET_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "unet.", "")
_MARKERS = ("input_blocks.0.0.weight", "conv_in.weight")
_PLAIN_INPUTS = 4
_EDM_MARK, _V_RANGE = "edm_mean", ("edm_vpred.sigma_min", "edm_vpred.sigma_max")
_EDM_LOWEST, _EDM_HIGHEST = 0.002, 80.0
"""Tensors that mark models with continuous noise levels, Playground 2.5 and CosXL; and the first one's range."""
_TELLING, _SPREAD = "output_blocks.11.1.transformer_blocks.0.norm1.bias", 0.09
"""The weights that tell which prediction a Stable Diffusion 2 makes, and the least spread of those that predict v."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the UNet families differ in. `texts`: slots of their text encoders. `small`, `big`: where a checkpoint keeps
    them. `layer`: the hidden state they read. `norms`: whether it gets the final norm."""

    family: str
    texts: tuple[str, ...]
    small: tuple[str, ...] = ()
    big: tuple[str, ...] = ()
    scale: float = 0.18215
    layer: int = -1
    norms: bool = True


_FIRST = "conditioner.embedders.0."
SD1 = Kind(
    family="stable-diffusion-v1",
    texts=("clip_l",),
    small=("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."),
)
SD2 = Kind(
    family="stable-diffusion-v2-768-v",
    texts=("clip_h",),
    big=("cond_stage_model.model.", _FIRST + "model.", "cond_stage_model.transformer.text_model."),
    layer=-2,
)
SDXL = Kind(
    family="stable-diffusion-xl-v1-base",
    texts=("clip_l", "clip_g"),
    small=(_FIRST + "transformer.text_model.",),
    big=("conditioner.embedders.1.model.", "conditioner.embedders.1.transformer.text_model."),
    scale=0.13025,
    layer=-2,
    norms=False,
)
REFINER = Kind(
    family="stable-diffusion-xl-v1-refiner",
    texts=("clip_g",),
    big=(_FIRST + "model.",),
    scale=0.13025,
    layer=-2,
    norms=False,
)
_KINDS = {kind.texts: kind for kind in (SD1, SD2, SDXL, REFINER)}
PIPELINES = {
    "StableDiffusionPipeline": SD1.family,
    "StableDiffusionXLPipeline": SDXL.family,
    "StableDiffusionInpaintPipeline": "stable-diffusion-v1/inpaint",
    "StableDiffusionXLInpaintPipeline": SDXL.family,
    "StableDiffusionXLImg2ImgPipeline": REFINER.family,
}


def load(source: Source) -> Parts:
    """The parts of a UNet model. Raises BadInput."""
    if source.folder is not None:
        return _from_folder(source, source.folder)
    assert source.checkpoint is not None
    return _from_file(source, source.checkpoint)


def _parts(
    source: Source, kind: Kind, unet: Any, text: tuple[Any, ...], noise: Config, tokenizer: CLIPTokenizer, dropped: int
) -> Parts:
    vae = find_vae(source, LatentFormat(channels=4, scale=kind.scale))
    clips = [
        ClipEncoder(
            model=model,
            device=source.device.place,
            slot=slot,
            pad=None if slot == "clip_l" else 0,
            default_layer=kind.layer + dropped,
            normalise=kind.norms,
            dropped=dropped,
            summary=kind is SD1,
        )
        for slot, model in zip(kind.texts, text, strict=True)
    ]
    is_playground = noise.get("prediction_type") == "edm"
    return Parts(
        denoiser=unet,
        vae=PlaygroundVae(vae) if is_playground else vae,
        latent=PLAYGROUND_LATENT if is_playground else None,
        text=ClipText(clips, tokenizer),
        text_modules=text,
        noise=noise,
        family=kind.family,
    )


# -- single files ------------------------------------------------------------------------------------------------


def _from_file(source: Source, checkpoint: Checkpoint) -> Parts:
    prefix = checkpoint.prefix(UNET_PREFIXES, *_MARKERS)
    if prefix is None:
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no Stable Diffusion denoiser that can be run.")
    kind, own = _kind(source, checkpoint, prefix), checkpoint.config()
    unet = _unet(checkpoint, prefix, own.get("unet", {}), source.device.compute)
    text = tuple(_text(source, kind, slot, source.device.compute) for slot in kind.texts)
    noise = _prediction(source, checkpoint, kind, prefix) | own.get("scheduler", {})
    return _parts(source, kind, unet, text, noise, clip_tokenizer(), 0)


def _unet(checkpoint: Checkpoint, prefix: str, own: Config, dtype: torch.dtype) -> Any:
    shapes, named = checkpoint.below(prefix), checkpoint.tensors_below(prefix)
    if _MARKERS[0] in shapes:
        layers = unet_layers(shapes)
        config = unet_config(shapes)
        named = ((unet_key(key, layers) or "", tensor) for key, tensor in named)
    else:
        config = diffusers_unet_config(shapes)
    unet = built(UNet2DConditionModel, config | own)
    fill(unet, checkpoint.path.name, ((key, tensor) for key, tensor in named if key), dtype)
    return unet


def _kind(source: Source, checkpoint: Checkpoint, prefix: str) -> Kind:
    """The family's kind; of a checkpoint no family is known for, by the text encoders that are in it."""
    known = _KINDS.get(source.architecture.text_encoders)
    if source.file.family is not None and known is not None:
        return known
    names = checkpoint.shapes

    def holds(prefixes: tuple[str, ...]) -> bool:
        return any(name.startswith(prefixes) for name in names)

    if holds(SDXL.big):
        return SDXL
    if holds((_FIRST + "model.", "cond_stage_model.model.")):
        return REFINER if f"{prefix}label_emb.0.0.weight" in names else SD2
    return SD1 if holds(SD1.small) else known or SD1


def _prediction(source: Source, checkpoint: Checkpoint, kind: Kind, prefix: str) -> Config:
    """What is known of its prediction: by its metadata, by marker tensors, by its weights."""
    if edm := _edm(checkpoint):
        return edm
    said = source.file.prediction or checkpoint.metadata.get("modelspec.prediction_type", "")
    if said.startswith(("v", "eps")):
        name = "v_prediction" if said.startswith("v") else "epsilon"
        return {"prediction_type": name, "rescale_betas_zero_snr": "zsnr" in said}
    if "v_pred" in checkpoint.shapes:
        return {"prediction_type": "v_prediction", "rescale_betas_zero_snr": "ztsnr" in checkpoint.shapes}
    return _told_by_weights(checkpoint, prefix) if kind is SD2 else {}


def _edm(checkpoint: Checkpoint) -> Config:
    """What the marks of models with continuous noise levels say: Playground 2.5's; CosXL's, which predicts v."""
    if _EDM_MARK in checkpoint.shapes:
        return {"prediction_type": "edm", "edm_range": (_EDM_LOWEST, _EDM_HIGHEST)}
    if _V_RANGE[1] not in checkpoint.shapes:
        return {}
    low, high = (float(checkpoint.tensor(name)) if name in checkpoint.shapes else _EDM_LOWEST for name in _V_RANGE)
    return {"prediction_type": "v_prediction", "edm_range": (low, high)}


def _told_by_weights(checkpoint: Checkpoint, prefix: str) -> Config:
    """Stable Diffusion 2 is published with either prediction and nothing else that tells them apart; those that predict
    v have wider spread biases in one place."""
    bias, first = prefix + _TELLING, prefix + _MARKERS[0]
    if bias not in checkpoint.shapes or checkpoint.shapes.get(first, (0, 0))[1] != _PLAIN_INPUTS:
        return {}
    is_v = float(checkpoint.tensor(bias).float().std(unbiased=False)) > _SPREAD
    return {"prediction_type": "v_prediction" if is_v else "epsilon"}


def _text(source: Source, kind: Kind, slot: str, dtype: torch.dtype) -> Any:
    """One text encoder. Raises BadInput when no file has it."""
    found: Any
    if slot == "clip_l":
        found = clip_l(source, kind.small, dtype)
    else:
        found = clip_big(source, slot, kind.big, dtype, own="text_encoder" if slot == "clip_h" else "text_encoder_2")
    if found is None:
        raise lacking(source, TEXT_ENCODERS[slot])
    return found


# -- diffusers folders -------------------------------------------------------------------------------------------


def _from_folder(source: Source, path: Path) -> Parts:
    read_json(path / "model_index.json")
    dtype = source.device.compute
    unet = from_folder(UNet2DConditionModel, path / "unet", dtype)
    kind = _folder_kind(path)
    text = tuple(_folder_text(source, kind, slot, path, dtype) for slot in kind.texts)
    noise = _of_scheduler(read_json(path / "scheduler" / "scheduler_config.json"))
    # These folders come without the layer that is not read.
    dropped = 1 if kind is SD2 else 0
    return _parts(source, kind, unet, text, noise, folder_tokenizer(path), dropped)


def _of_scheduler(config: Config) -> Config:
    """A scheduler's configuration, those of continuous noise levels in the words of their marks."""
    if not str(config.get("_class_name", "")).startswith("EDM"):
        return config
    kind = "edm" if config.get("prediction_type", "epsilon") == "epsilon" else "v_prediction"
    ends = config.get("sigma_min", _EDM_LOWEST), config.get("sigma_max", _EDM_HIGHEST)
    return {**config, "prediction_type": kind, "edm_range": ends}


def _folder_kind(path: Path) -> Kind:
    if (path / "text_encoder_2").is_dir():
        return SDXL if (path / "text_encoder").is_dir() else REFINER
    return SD2 if read_json(path / "text_encoder" / "config.json").get("hidden_act") == "gelu" else SD1


def _folder_text(source: Source, kind: Kind, slot: str, path: Path, dtype: torch.dtype) -> Any:
    if slot in source.parts:
        return _text(source, kind, slot, dtype)
    if slot == "clip_g":
        return from_folder(CLIPTextModelWithProjection, path / "text_encoder_2", dtype)
    return from_folder(CLIPTextModel, path / "text_encoder", dtype)


def folder_tokenizer(path: Path) -> CLIPTokenizer:
    """The CLIP tokenizer of a folder, or the one all CLIPs share."""
    folder = path / "tokenizer"
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True) if folder.is_dir() else clip_tokenizer()
