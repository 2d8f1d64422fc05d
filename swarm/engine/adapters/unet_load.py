"""Reads Stable Diffusion's UNet families from single files in the original layout and from diffusers folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from swarm.architectures.architecture import LatentFormat
from swarm.base.errors import BadInput
from swarm.engine.checkpoint import Checkpoint
from swarm.engine.components import Parts, Source, Vae
from swarm.engine.device import Device
from swarm.engine.keys import open_clip_key, unet_key, vae_key
from swarm.engine.loader import Config, Named, built, fill, read_json, unloadable
from swarm.engine.shapes import clip_config, unet_config, unet_layers, vae_config
from swarm.engine.text import ClipEncoder, ClipText
from swarm.engine.tokenizer import clip_tokenizer

SD1, SDXL = "stable-diffusion-v1", "stable-diffusion-xl-v1-base"
PIPELINES = {"StableDiffusionPipeline": SD1, "StableDiffusionXLPipeline": SDXL}
_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_CLIP_PREFIXES = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")
_XL_CLIP_L, _XL_CLIP_G = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."


def load(source: Source) -> Parts:
    """The parts of a UNet model. Raises BadInput."""
    if source.checkpoint is not None:
        return _from_file(source.checkpoint, source.device)
    assert source.folder is not None
    return _from_folder(source.folder, source.device)


def _parts(
    unet: Any, vae: Any, text: tuple[Any, ...], tokenizer: CLIPTokenizer, noise: Config, device: Device
) -> Parts:
    xl = len(text) > 1
    clips = [ClipEncoder(model=model, device=device.place, pad=0 if number else None, default_layer=-2 if xl else -1,
                         normalise=not xl) for number, model in enumerate(text)]  # fmt: skip
    return Parts(
        denoiser=unet,
        vae=image_vae(vae),
        text=ClipText(clips, tokenizer),
        text_modules=text,
        noise=noise,
        family=SDXL if xl else SD1,
    )


def image_vae(module: AutoencoderKL) -> Vae:
    """diffusers' VAE of Stable Diffusion and of everything that kept its shape."""
    config = module.config
    latent = LatentFormat(channels=config.latent_channels, scale=config.scaling_factor)
    return Vae(module, factor=2 ** (len(config.block_out_channels) - 1), latent=latent)


# -- single files ------------------------------------------------------------------------------------------------


def _from_file(checkpoint: Checkpoint, device: Device) -> Parts:
    layout, own, name = _layout(checkpoint), checkpoint.config(), checkpoint.path.name
    unet_shapes = checkpoint.below(_UNET)
    layers = unet_layers(unet_shapes)
    unet = built(UNet2DConditionModel, unet_config(unet_shapes) | own.get("unet", {}))
    named = ((unet_key(key, layers), tensor) for key, tensor in checkpoint.tensors_below(_UNET))
    fill(unet, name, ((key, tensor) for key, tensor in named if key), device.compute)
    vae = original_vae(checkpoint, _VAE, 0.13025 if layout == SDXL else 0.18215, own.get("vae", {}), device.decode)
    text = _xl_text(checkpoint, own, device) if layout == SDXL else (_sd_text(checkpoint, own, device),)
    noise = own.get("scheduler", {}) | _marked_prediction(checkpoint)
    return _parts(unet, vae, text, clip_tokenizer(), noise, device)


def original_vae(
    checkpoint: Checkpoint, prefix: str, scale: float, own: Mapping[str, Any], dtype: torch.dtype
) -> AutoencoderKL:
    """A VAE in the original layout below `prefix` of a file. `own`: config entries that win over the shapes."""
    settings = vae_config(checkpoint.below(prefix), scaling_factor=scale) | dict(own)
    vae = built(AutoencoderKL, settings)
    levels = len(settings["block_out_channels"])
    renamed = ((vae_key(key, levels), tensor) for key, tensor in checkpoint.tensors_below(prefix))
    fill(vae, checkpoint.path.name, ((key, tensor) for key, tensor in renamed if key), dtype)
    found: AutoencoderKL = vae
    return found


def _layout(checkpoint: Checkpoint) -> str:
    shapes = checkpoint.shapes
    if not any(name.startswith(_UNET) for name in shapes):
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no Stable Diffusion denoiser that can be run.")
    if not any(name.startswith(_VAE) for name in shapes):
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no VAE; a full checkpoint is needed.")
    if any(name.startswith(_XL_CLIP_G) for name in shapes):
        return SDXL
    if any(name.startswith(_CLIP_PREFIXES) for name in shapes):
        return SD1
    raise BadInput(f"The model file '{checkpoint.path.name}' holds no text encoder; a full checkpoint is needed.")


def _marked_prediction(checkpoint: Checkpoint) -> Config:
    """Marker tensors that v-prediction checkpoints carry, and the ModelSpec entry."""
    said = checkpoint.metadata.get("modelspec.prediction_type", "")
    if "v_pred" in checkpoint.shapes or said.startswith("v"):
        return {"prediction_type": "v_prediction", "rescale_betas_zero_snr": "ztsnr" in checkpoint.shapes}
    return {}


def _sd_text(checkpoint: Checkpoint, own: Mapping[str, Config], device: Device) -> CLIPTextModel:
    prefix = next(prefix for prefix in _CLIP_PREFIXES if any(name.startswith(prefix) for name in checkpoint.shapes))
    return clip_l(checkpoint, prefix, own.get("text_encoder", {}), device)


def _xl_text(checkpoint: Checkpoint, own: Mapping[str, Config], device: Device) -> tuple[Any, ...]:
    second = open_clip(checkpoint, _XL_CLIP_G, own.get("text_encoder_2", {}), device)
    return clip_l(checkpoint, _XL_CLIP_L, own.get("text_encoder", {}), device), second


def open_clip(checkpoint: Checkpoint, prefix: str, own: Config, device: Device) -> CLIPTextModelWithProjection:
    """A text encoder with a projection in OpenCLIP's names below `prefix`."""
    named = list(_renamed(checkpoint.tensors_below(prefix)))
    shapes = {key: tuple(tensor.shape) for key, tensor in named}
    with init_empty_weights(include_buffers=False):
        model = CLIPTextModelWithProjection(CLIPTextConfig(**(clip_config(shapes, activation="gelu") | own)))
    wrapped = ((key if key.startswith("text_projection") else f"text_model.{key}", tensor) for key, tensor in named)
    fill(model, checkpoint.path.name, wrapped, device.compute)
    return model


def clip_l(checkpoint: Checkpoint, prefix: str, own: Config, device: Device) -> CLIPTextModel:
    """A text encoder in transformers' names below `prefix` (which ends in `text_model.` where the file has that)."""
    config = clip_config(checkpoint.below(prefix), activation="quick_gelu") | own
    with init_empty_weights(include_buffers=False):
        model = CLIPTextModel(CLIPTextConfig(**config))
    fill(model, checkpoint.path.name, checkpoint.tensors_below(prefix), device.compute)
    return model


def _renamed(tensors: Named) -> Iterator[tuple[str, torch.Tensor]]:
    """OpenCLIP tensors in transformers' names: fused projections cut in three, the text projection transposed."""
    for name, tensor in tensors:
        key = open_clip_key(name)
        if key is None:
            continue
        if key == "text_projection.weight":
            yield key, tensor.T.contiguous()
        elif ".attn.in_proj_" in key:
            home, end = key.split(".attn.in_proj_")
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{home}.self_attn.{part}_proj.{end}", piece.contiguous()
        else:
            yield key, tensor


# -- diffusers folders -------------------------------------------------------------------------------------------


def _from_folder(path: Path, device: Device) -> Parts:
    layout = PIPELINES[str(read_json(path / "model_index.json").get("_class_name"))]
    try:
        unet = UNet2DConditionModel.from_pretrained(path / "unet", local_files_only=True, dtype=device.compute)
        vae = AutoencoderKL.from_pretrained(path / "vae", local_files_only=True, dtype=device.decode)
        text: list[Any] = [
            CLIPTextModel.from_pretrained(path / "text_encoder", local_files_only=True, dtype=device.compute)
        ]
        if layout == SDXL:
            second = path / "text_encoder_2"
            text.append(
                CLIPTextModelWithProjection.from_pretrained(second, local_files_only=True, dtype=device.compute)
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(unloadable(path, error)) from None
    noise = read_json(path / "scheduler" / "scheduler_config.json")
    return _parts(unet, vae, tuple(text), folder_tokenizer(path), noise, device)


def folder_tokenizer(path: Path) -> CLIPTokenizer:
    """The CLIP tokenizer of a folder, or the one all CLIPs share."""
    folder = path / "tokenizer"
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True) if folder.is_dir() else clip_tokenizer()
