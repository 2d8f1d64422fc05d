"""Tiny random Stable Diffusion models, as diffusers components and as single files in the original layouts.

The names are written out here a second time, in the other direction than the loader reads them, so that a mistake in
either shows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from swarm.engine.words.tokenizer import clip_tokenizer

Tensors = dict[str, torch.Tensor]
_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET_NAMES = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tiny:
    """A tiny model's parts."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: tuple[Any, ...]

    @property
    def is_xl(self) -> bool:
        return len(self.text) == 2

    def pipeline(self) -> Any:
        """The plain diffusers pipeline over the same modules."""
        scheduler = EulerDiscreteScheduler(**_NOISE, steps_offset=1, timestep_spacing="linspace")
        parts = {"unet": self.unet, "vae": self.vae, "text_encoder": self.text[0], "tokenizer": clip_tokenizer()}
        if self.is_xl:
            second = clip_tokenizer()
            second.pad_token = "!"
            extra = {"text_encoder_2": self.text[1], "tokenizer_2": second, "add_watermarker": False}
            pipe = StableDiffusionXLPipeline(**parts, **extra, scheduler=scheduler)
        else:
            nothing = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
            pipe = StableDiffusionPipeline(**parts, **nothing, scheduler=scheduler)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def save_single_file(self, path: Path, config: dict[str, Any] | None = None) -> Path:
        """Write the original single-file layout; `config` becomes the header's `swarm.config`."""
        layers, levels = self.unet.config.layers_per_block, len(self.vae.config.block_out_channels)
        tensors = {f"model.diffusion_model.{unet_name(k, self.unet, layers)}": v for k, v in _weights(self.unet)}
        tensors |= {f"first_stage_model.{k}": v for k, v in (vae_entry(k, v, levels) for k, v in _weights(self.vae))}
        first = "conditioner.embedders.0.transformer.text_model." if self.is_xl else None
        first = first or "cond_stage_model.transformer.text_model."
        tensors |= {first + k.removeprefix("text_model."): v for k, v in _weights(self.text[0])}
        if self.is_xl:
            tensors |= {f"conditioner.embedders.1.model.{k}": v for k, v in open_clip(self.text[1]).items()}
        metadata = {"format": "pt"} | ({} if config is None else {"swarm.config": json.dumps(config)})
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
        return path


def tiny_sd(seed: int = 0, *, vae_levels: int = 4) -> Tiny:
    """SD 1.x with about 4 M weights, nearly half of them the token table."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=2,
        sample_size=64,
        cross_attention_dim=32,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )
    return Tiny(unet=_attentive(unet), vae=_vae(vae_levels, 0.18215), text=(CLIPTextModel(_clip(32, 2)).eval(),))


def tiny_sdxl(seed: int = 0) -> Tiny:
    """SDXL in small: two text encoders, size numbers, linear projections."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 64),
        layers_per_block=2,
        sample_size=64,
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(1, 1, 1),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=6 * 256 + 64,
        cross_attention_dim=96,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    first, second = CLIPTextModel(_clip(32, 2)), CLIPTextModelWithProjection(_clip(64, 3, "gelu"))
    return Tiny(unet=_attentive(unet), vae=_vae(4, 0.13025), text=(first.eval(), second.eval()))


def _attentive(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Random weights hardly listen to the prompt; louder cross-attention and output make mistakes there visible."""
    with torch.no_grad():
        unet.conv_out.weight.mul_(6.0)
        for name, module in unet.named_modules():
            if name.endswith(("attn2.to_out.0", "attn2.to_v")):
                module.weight.mul_(4.0)
    return unet.eval()


def _vae(levels: int, scale: float) -> AutoencoderKL:
    channels = (8, 8, 16, 16, 16)[:levels]
    return AutoencoderKL(
        block_out_channels=channels,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=4,
        sample_size=512,
        scaling_factor=scale,
    ).eval()


def _clip(width: int, layers: int, activation: str = "quick_gelu") -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_attention_heads=1,
        num_hidden_layers=layers,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )


def _weights(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [(name, weight.detach()) for name, weight in module.named_parameters()]


def unet_name(name: str, unet: UNet2DConditionModel, layers: int) -> str:
    for new, old in _UNET_NAMES.items():
        if name.startswith(new + "."):
            return old + name[len(new) :]
    side, level, kind, rest = _split(name)
    if side == "mid_block":
        number, _, rest = rest.partition(".")
        return f"middle_block.1.{rest}" if kind == "attentions" else f"middle_block.{2 * int(number)}.{_resnet(rest)}"
    number, _, rest = rest.partition(".")
    block = level * (layers + 1) + int(number)
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        crossed = hasattr(unet.up_blocks[level], "attentions")
        return f"output_blocks.{level * (layers + 1) + layers}.{2 if crossed else 1}.{rest}"
    home = f"input_blocks.{1 + block}" if side == "down_blocks" else f"output_blocks.{block}"
    return f"{home}.0.{_resnet(rest)}" if kind == "resnets" else f"{home}.1.{rest}"


def _split(name: str) -> tuple[str, int, str, str]:
    """`down_blocks.1.resnets.0.conv1.weight` -> (down_blocks, 1, resnets, 0.conv1.weight)."""
    match = re.fullmatch(r"(down_blocks|up_blocks|mid_block)\.(?:(\d+)\.)?([a-z]+)\.(.+)", name)
    assert match is not None, name
    return match[1], int(match[2] or 0), match[3], match[4]


def _resnet(rest: str) -> str:
    part, _, end = rest.rpartition(".")
    return f"{_RESNET[part]}.{end}"


def vae_entry(name: str, tensor: torch.Tensor, levels: int) -> tuple[str, torch.Tensor]:
    match = re.fullmatch(r"(encoder|decoder)\.(down_blocks|up_blocks|mid_block)\.(.+)", name)
    if match is None:
        return name.replace("conv_norm_out", "norm_out"), tensor
    side, rest = match[1], match[3]
    if match[2] == "mid_block":
        kind, number, end = rest.split(".", 2)
        if kind == "resnets":
            return f"{side}.mid.block_{int(number) + 1}.{end}", tensor
        part, _, leaf = end.rpartition(".")
        flat = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        return f"{side}.mid.attn_1.{_VAE_ATTENTION[part]}.{leaf}", flat
    level, kind, number, end = rest.split(".", 3)
    own = int(level) if match[2] == "down_blocks" else levels - 1 - int(level)
    home = f"{side}.{'down' if match[2] == 'down_blocks' else 'up'}.{own}"
    if kind == "resnets":
        return f"{home}.block.{number}.{end.replace('conv_shortcut', 'nin_shortcut')}", tensor
    return f"{home}.{kind.removesuffix('rs')}.{end}", tensor


def open_clip(model: CLIPTextModelWithProjection) -> Tensors:
    weights = dict(_weights(model))
    found: Tensors = {
        "token_embedding.weight": weights["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": weights["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": weights["text_model.final_layer_norm.weight"],
        "ln_final.bias": weights["text_model.final_layer_norm.bias"],
        "text_projection": weights["text_projection.weight"].T,
        "logit_scale": torch.tensor(4.6),
    }
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for layer in range(model.config.num_hidden_layers):
        here, there = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for leaf in ("weight", "bias"):
            for new, old in {**names, "self_attn.out_proj": "attn.out_proj"}.items():
                found[f"{there}.{old}.{leaf}"] = weights[f"{here}.{new}.{leaf}"]
            parts = [weights[f"{here}.self_attn.{part}_proj.{leaf}"] for part in "qkv"]
            found[f"{there}.attn.in_proj_{leaf}"] = torch.cat(parts)
    return found
