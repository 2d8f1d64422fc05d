"""Stable Video Diffusion from single files: its UNet, its VAE and CLIP's eyes, all in one, in their original names."""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.keys import unet_key, vae_key
from swarm.engine.files.shapes import Shapes, unet_config, unet_layers, vae_config
from swarm.engine.loader import fill, refuse_gaps
from swarm.engine.whole.open_clip_eyes import eyes_config, eyes_tensors
from swarm.engine.whole.single import Single, converted

_UNET, _VAE, _EYES = "model.diffusion_model.", "first_stage_model.", "conditioner.embedders.0.open_clip.model.visual."
_SCALE = 0.18215
_FRAMES, _MANY_FRAMES = 14, 25
_NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
    "steps_offset": 1,
}
_PLACES = (
    ("time_stack.", "temporal_transformer_blocks."),
    ("embed.0.", "embed.linear_1."),
    ("embed.2.", "embed.linear_2."),
)
_BLOCK = re.compile(r"(.*\.resnets\.\d+\.)(.+)")
_IN_TIME = re.compile(r"(decoder\..*)\.(time_stack\.(?P<rest>.+)|mix_factor)")
_TIMED = (
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
)


def load_svd(single: Single) -> Any:
    """The pipeline. Raises BadInput for a file that does not hold all of it."""
    file = Checkpoint(single.file.path)
    for prefix, what in ((_UNET, "denoiser"), (_VAE, "VAE"), (_EYES, "image encoder")):
        if not file.below(prefix):
            raise BadInput(
                f"The model file '{single.file.name}' holds no {what}. Stable Video Diffusion is read from the "
                "published file, 'svd.safetensors' or 'svd_xt.safetensors', which holds everything."
            )
    eyes = _eyes(file, single.dtype)
    side = eyes.config.image_size
    return StableVideoDiffusionPipeline(
        vae=_vae(file, single.dtype),
        image_encoder=eyes,
        unet=_unet(file, single),
        scheduler=EulerDiscreteScheduler(**_NOISE),
        feature_extractor=CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
    )


def _unet(file: Checkpoint, single: Single) -> Any:
    shapes = file.below(_UNET)
    layers = unet_layers(shapes)
    frames = _MANY_FRAMES if "xt" in single.file.path.stem.lower() else _FRAMES
    config = {**unet_config_of(shapes), "num_frames": frames, **file.config().get("unet", {})}

    def convert(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        named = ((_unet_name(name, layers), tensor) for name, tensor in tensors.items())
        return {name: tensor for name, tensor in named if name is not None}

    return converted(UNetSpatioTemporalConditionModel, config, file, _UNET, convert, single.dtype)


def unet_config_of(shapes: Shapes) -> dict[str, Any]:
    """What the shapes tell of an image UNet, in the words of the one for clips; heads are 64 wide."""
    plain = unet_config(shapes)
    told = plain["projection_class_embeddings_input_dim"]
    return {
        "in_channels": plain["in_channels"],
        "out_channels": plain["out_channels"],
        "block_out_channels": plain["block_out_channels"],
        "layers_per_block": plain["layers_per_block"],
        "cross_attention_dim": plain["cross_attention_dim"],
        "down_block_types": tuple(_in_time(kind) for kind in plain["down_block_types"]),
        "up_block_types": tuple(_in_time(kind) for kind in plain["up_block_types"]),
        "transformer_layers_per_block": plain["transformer_layers_per_block"],
        "num_attention_heads": tuple(max(1, width // 64) for width in plain["block_out_channels"]),
        "projection_class_embeddings_input_dim": told,
        "addition_time_embed_dim": told // 3,
    }


def _in_time(kind: str) -> str:
    return kind.removesuffix("2D") + "SpatioTemporal"


def _unet_name(name: str, layers: int) -> str | None:
    """The diffusers name; the layers over time lie beside those over space."""
    timed = ".time_stack." in name
    plain = unet_key(re.sub(r"\.time_stack\.(?=(in|out|emb)_layers)", ".", name), layers)
    if plain is None:
        return None
    if ".attentions." in plain:
        for old, new in _PLACES:
            plain = plain.replace(old, new)
        return plain
    match = _BLOCK.fullmatch(plain)
    if match is None or match[2].startswith("time_mixer."):
        return plain
    return f"{match[1]}{'temporal' if timed else 'spatial'}_res_block.{match[2]}"


def _vae(file: Checkpoint, dtype: torch.dtype) -> Any:
    plain = vae_config(file.below(_VAE), scaling_factor=_SCALE)
    config = {
        name: plain[name]
        for name in (
            "in_channels", "out_channels", "latent_channels", "block_out_channels", "layers_per_block",
            "down_block_types", "scaling_factor",
        )
    }  # fmt: skip
    levels = len(plain["block_out_channels"])
    latents = 2 * plain["latent_channels"]

    def convert(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        named = ((_vae_name(name, levels), tensor) for name, tensor in tensors.items())
        # The original has no convolution between encoder and latents; diffusers' has one, which then changes nothing.
        same = {"quant_conv.weight": torch.eye(latents)[:, :, None, None], "quant_conv.bias": torch.zeros(latents)}
        return same | {name: tensor for name, tensor in named if name is not None}

    return converted(AutoencoderKLTemporalDecoder, config, file, _VAE, convert, dtype)


def _vae_name(name: str, levels: int) -> str | None:
    if name.startswith("decoder.conv_out.time_mix_conv."):
        return name.replace("conv_out.time_mix_conv", "time_conv_out")
    if match := _IN_TIME.fullmatch(name):
        home = vae_key(f"{match[1]}.norm1", levels)
        if home is None:
            return None
        rest = match["rest"]
        if rest is None:
            return home.removesuffix("norm1") + "time_mixer.mix_factor"
        for old, new in _TIMED:
            rest = rest.replace(old, new)
        return f"{home.removesuffix('norm1')}temporal_res_block.{rest}"
    plain = vae_key(name, levels)
    if plain is not None and plain.startswith("decoder.") and (match := _BLOCK.fullmatch(plain)):
        return f"{match[1]}spatial_res_block.{match[2]}"
    return plain


def _eyes(file: Checkpoint, dtype: torch.dtype) -> Any:
    config = {**eyes_config(file.below(_EYES)), **file.config().get("image_encoder", {})}
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    fill(model, file.path.name, eyes_tensors(file.tensors_below(_EYES)), dtype)
    refuse_gaps(file.path.name, model)
    return model.to(dtype).eval()
