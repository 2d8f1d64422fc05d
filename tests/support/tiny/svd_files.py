"""A tiny Stable Video Diffusion as people have it: UNet, VAE and CLIP's eyes in one file, in their original names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.support.tiny import video
from tests.support.tiny.weights import Tensors, state, write

FAMILY = "stable-video-diffusion-img2vid-v0_9"
_EYES = {"hidden_size": 32, "num_attention_heads": 2}
_TOP = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = (
    ("norm1.", "in_layers.0."),
    ("conv1.", "in_layers.2."),
    ("norm2.", "out_layers.0."),
    ("conv2.", "out_layers.3."),
    ("time_emb_proj.", "emb_layers.1."),
    ("conv_shortcut.", "skip_connection."),
)
_ATTENTION = (
    ("temporal_transformer_blocks.", "time_stack."),
    ("time_pos_embed.linear_1.", "time_pos_embed.0."),
    ("time_pos_embed.linear_2.", "time_pos_embed.2."),
)
_LAYERS = 1
_LEVELS = 4


@cache
def pipeline() -> Any:
    """The same weights as in the file, in diffusers' modules."""
    torch.manual_seed(0)
    pipe = video.svd()
    vision = CLIPVisionConfig(
        **_EYES,
        projection_dim=32,
        num_hidden_layers=2,
        image_size=224,
        intermediate_size=37,
        patch_size=56,
        hidden_act="gelu",
    )
    pipe.register_modules(image_encoder=CLIPVisionModelWithProjection(vision).eval())
    # The original has no convolution there.
    torch.nn.init.dirac_(pipe.vae.quant_conv.weight)
    torch.nn.init.zeros_(pipe.vae.quant_conv.bias)
    return pipe


def save(folder: Path, family: str = "") -> Path:
    """The whole file."""
    pipe = pipeline()
    tensors: Tensors = {}
    for name, value in state(pipe.unet).items():
        tensors[f"model.diffusion_model.{unet_name(name)}"] = value
    for name, value in state(pipe.vae, without=("quant_conv.weight", "quant_conv.bias")).items():
        plain = vae_name(name)
        attention = ".attn_1." in plain and value.ndim == 2
        tensors[f"first_stage_model.{plain}"] = value[:, :, None, None] if attention else value
    for name, value in eyes(state(pipe.image_encoder)).items():
        tensors[f"conditioner.embedders.0.open_clip.model.visual.{name}"] = value
    config = {
        "unet": {"num_attention_heads": 2},
        "image_encoder": {"num_attention_heads": 2},
    }
    return write(folder / "svd.safetensors", tensors, config, family)


def unet_name(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    if module in _TOP:
        return f"{_TOP[module]}.{leaf}"
    if found := re.fullmatch(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.+)", name):
        return f"input_blocks.{(int(found[1]) + 1) * (_LAYERS + 1)}.0.op.{found[2]}"
    if found := re.fullmatch(r"up_blocks\.(\d)\.upsamplers\.0\.conv\.(.+)", name):
        level = int(found[1])
        return f"output_blocks.{level * (_LAYERS + 1) + _LAYERS}.{2 if level else 1}.conv.{found[2]}"
    found = re.fullmatch(r"(down_blocks|mid_block|up_blocks)(?:\.(\d))?\.(resnets|attentions)\.(\d)\.(.+)", name)
    assert found is not None, name
    side, level, kind, layer, rest = found[1], int(found[2] or 0), found[3], int(found[4]), found[5]
    if side == "mid_block":
        home = f"middle_block.{1 if kind == 'attentions' else 2 * layer}"
    else:
        down = side == "down_blocks"
        block = level * (_LAYERS + 1) + layer + (1 if down else 0)
        home = f"{'input' if down else 'output'}_blocks.{block}.{1 if kind == 'attentions' else 0}"
    return f"{home}.{_attention(rest) if kind == 'attentions' else _resnet(rest)}"


def _attention(rest: str) -> str:
    for new, old in _ATTENTION:
        rest = rest.replace(new, old)
    return rest


def _resnet(rest: str) -> str:
    timed = rest.startswith("temporal_res_block.")
    rest = rest.removeprefix("temporal_res_block.").removeprefix("spatial_res_block.")
    for new, old in _RESNET:
        if rest.startswith(new):
            rest = old + rest[len(new) :]
            break
    return f"time_stack.{rest}" if timed else rest


def vae_name(name: str) -> str:
    name = name.replace("decoder.time_conv_out.", "decoder.conv_out.time_mix_conv.").replace(
        "conv_norm_out", "norm_out"
    )
    if found := re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)", name):
        rest = found[2].replace("group_norm.", "norm.").replace("to_out.0.", "proj_out.")
        return f"{found[1]}.mid.attn_1.{re.sub(r'^to_', '', rest)}"
    if found := re.fullmatch(r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.+)", name):
        return f"{found[1]}.mid.block_{int(found[2]) + 1}.{_vae_resnet(found[3])}"
    found = re.fullmatch(
        r"(encoder\.down|decoder\.up)_blocks\.(\d)\.(resnets|downsamplers|upsamplers)\.(\d)\.(.+)", name
    )
    if found is None:
        return name
    level = int(found[2]) if found[1].endswith("down") else _LEVELS - 1 - int(found[2])
    if found[3] != "resnets":
        return f"{found[1]}.{level}.{found[3].removesuffix('rs')}.{found[5]}"
    return f"{found[1]}.{level}.block.{found[4]}.{_vae_resnet(found[5])}"


def _vae_resnet(rest: str) -> str:
    if rest == "time_mixer.mix_factor":
        return "mix_factor"
    if rest.startswith("temporal_res_block."):
        return _resnet(rest)
    return rest.removeprefix("spatial_res_block.").replace("conv_shortcut", "nin_shortcut")


def eyes(tensors: Tensors) -> Tensors:
    """In OpenCLIP's names: queries, keys and values of a layer in one."""
    named: Tensors = {}
    for name, value in tensors.items():
        name = name.removeprefix("vision_model.")
        if found := re.fullmatch(r"encoder\.layers\.(\d)\.self_attn\.q_proj\.(weight|bias)", name):
            start = f"vision_model.encoder.layers.{found[1]}.self_attn."
            parts = [tensors[f"{start}{part}_proj.{found[2]}"] for part in "qkv"]
            named[f"transformer.resblocks.{found[1]}.attn.in_proj_{found[2]}"] = torch.cat(parts)
            continue
        if ".k_proj." in name or ".v_proj." in name:
            continue
        named[_eye_name(name)] = value.T if name == "visual_projection.weight" else value
    return named


def _eye_name(name: str) -> str:
    for new, old in (
        ("embeddings.class_embedding", "class_embedding"),
        ("embeddings.position_embedding.weight", "positional_embedding"),
        ("embeddings.patch_embedding.", "conv1."),
        ("pre_layrnorm.", "ln_pre."),
        ("post_layernorm.", "ln_post."),
        ("visual_projection.weight", "proj"),
        ("encoder.layers.", "transformer.resblocks."),
        ("layer_norm1.", "ln_1."),
        ("layer_norm2.", "ln_2."),
        ("self_attn.out_proj.", "attn.out_proj."),
        ("mlp.fc1.", "mlp.c_fc."),
        ("mlp.fc2.", "mlp.c_proj."),
    ):
        name = name.replace(new, old)
    return name
