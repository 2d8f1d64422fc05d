"""Tiny Wan models as people have them: a transformer alone in its original names, text encoder and VAE beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from tests.support.tiny.encoders import PIECES, pieces_tensor
from tests.support.tiny.video import WIDTH, wan_transformer
from tests.support.tiny.weights import Tensors, state, write

_TRANSFORMER = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
    ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
    ("norm_added_k.", "norm_k_img."),
    ("add_k_proj.", "k_img."),
    ("add_v_proj.", "v_img."),
    ("attn1.", "self_attn."),
    ("attn2.", "cross_attn."),
    ("to_out.0.", "o."),
    ("to_q.", "q."),
    ("to_k.", "k."),
    ("to_v.", "v."),
    ("ffn.net.0.proj", "ffn.0"),
    ("ffn.net.2", "ffn.2"),
    ("proj_out", "head.head"),
)
_VAE = (
    (r"^encoder\.conv_in\.", "encoder.conv1."),
    (r"^decoder\.conv_in\.", "decoder.conv1."),
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"^encoder\.down_blocks\.", "encoder.downsamples."),
    (r"\.norm1\.", ".residual.0."),
    (r"\.conv1\.(?=weight|bias)(?<!^encoder\.conv1\.)", ".residual.2."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv2\.(?=weight|bias)", ".residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
)


def transformer_tensors(model: Any) -> Tensors:
    """In the original names."""
    return {_transformer_name(name): value for name, value in state(model).items()}


def _transformer_name(name: str) -> str:
    if name == "scale_shift_table":
        return "head.modulation"
    for new, old in _TRANSFORMER:
        name = name.replace(new, old)
    # The original calls its norms 1, 3, 2 in the order diffusers counts them.
    name = re.sub(r"^(blocks\.\d+\.)norm(2|3)\.", lambda found: f"{found[1]}norm{5 - int(found[2])}.", name)
    return name.replace("scale_shift_table", "modulation")


def vae_tensors(model: Any) -> Tensors:
    return {_vae_name(name): value for name, value in state(model).items()}


def _vae_name(name: str) -> str:
    top = re.match(r"^(encoder|decoder)\.conv_in\.(.*)$", name)
    if top:
        return f"{top[1]}.conv1.{top[2]}"
    found = re.match(r"^decoder\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.(.*)$", name)
    if found:
        place = 4 * int(found[1]) + (int(found[3]) if found[2] == "resnets" else 3)
        name = f"decoder.upsamples.{place}.{found[4]}"
    for new, old in _VAE:
        name = re.sub(new, old, name)
    return name


def save(
    folder: Path, *, channels: int = 16, eyes: int | None = None, seed: int = 0, name: str = "wan", family: str = ""
) -> Path:
    """The transformer's file. `family`: what its header says it is; its widths are too small to tell."""
    torch.manual_seed(seed)
    model = wan_transformer(channels, image_dim=eyes, added_kv_proj_dim=24 if eyes else None)
    config = {"transformer": {"num_attention_heads": 2, "attention_head_dim": 12, "rope_max_seq_len": 32}}
    return write(folder / f"{name}.safetensors", transformer_tensors(model), config, family)


def vae() -> Any:
    torch.manual_seed(1)
    return AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, temperal_downsample=[False, True, True]
    ).eval()


def save_vae(folder: Path) -> Path:
    return write(folder / "wan_2.1_vae.safetensors", vae_tensors(vae()))


def text_encoder() -> Any:
    torch.manual_seed(2)
    config = UMT5Config(vocab_size=len(PIECES), d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return UMT5EncoderModel(config).eval()


def save_text_encoder(folder: Path) -> Path:
    """With its vocabulary inside, as it is usually packed."""
    tensors = state(text_encoder(), without=("encoder.embed_tokens.weight",))
    return write(folder / "umt5_xxl_fp16.safetensors", tensors | {"spiece_model": pieces_tensor(prefixed=True)})


def save_eyes(folder: Path) -> Path:
    torch.manual_seed(3)
    config = CLIPVisionConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    tensors = state(CLIPVisionModel(config))
    named = {name if name.startswith("vision_model.") else f"vision_model.{name}": v for name, v in tensors.items()}
    return write(folder / "clip_vision_h.safetensors", named, {"vision": {"num_attention_heads": 2}})
