"""Tiny HunyuanVideo 1.5 as people have it: a transformer in its published names, and what goes beside it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15ImageToVideoPipeline,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from diffusers.guiders import ClassifierFreeGuidance
from transformers import (
    ByT5Tokenizer,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)

from swarm.engine.words.tokenizer import qwen_tokenizer
from tests.support.tiny import encoders
from tests.support.tiny.weights import Tensors, refreshed, state, write

FAMILY = "hunyuan-video-1_5"
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant{{ '\\n' }}"
)
_GLYPHS, _SEEN = 24, 72
_TOP = (
    ("time_embed.timestep_embedder.linear_1.", "time_in.mlp.0."),
    ("time_embed.timestep_embedder.linear_2.", "time_in.mlp.2."),
    ("context_embedder.time_text_embed.timestep_embedder.linear_1.", "txt_in.t_embedder.mlp.0."),
    ("context_embedder.time_text_embed.timestep_embedder.linear_2.", "txt_in.t_embedder.mlp.2."),
    ("context_embedder.time_text_embed.text_embedder.", "txt_in.c_embedder."),
    ("context_embedder.proj_in.", "txt_in.input_embedder."),
    ("context_embedder.token_refiner.refiner_blocks.", "txt_in.individual_token_refiner.blocks."),
    ("context_embedder_2.norm.", "byt5_in.layernorm."),
    ("context_embedder_2.linear_", "byt5_in.fc"),
    ("image_embedder.norm_in.", "vision_in.proj.0."),
    ("image_embedder.linear_1.", "vision_in.proj.1."),
    ("image_embedder.linear_2.", "vision_in.proj.3."),
    ("image_embedder.norm_out.", "vision_in.proj.4."),
    ("x_embedder.", "img_in."),
    ("cond_type_embed.", "cond_type_embedding."),
    ("transformer_blocks.", "double_blocks."),
    ("proj_out.", "final_layer.linear."),
)
_DOUBLE = (
    ("norm1.", "img_mod."),
    ("norm1_context.", "txt_mod."),
    ("attn.norm_added_q.", "txt_attn_q_norm."),
    ("attn.norm_added_k.", "txt_attn_k_norm."),
    ("attn.norm_q.", "img_attn_q_norm."),
    ("attn.norm_k.", "img_attn_k_norm."),
    ("attn.to_out.0.", "img_attn_proj."),
    ("attn.to_add_out.", "txt_attn_proj."),
    ("attn.to_q.", "img_attn_q."),
    ("attn.to_k.", "img_attn_k."),
    ("attn.to_v.", "img_attn_v."),
    ("attn.add_q_proj.", "txt_attn_q."),
    ("attn.add_k_proj.", "txt_attn_k."),
    ("attn.add_v_proj.", "txt_attn_v."),
    ("ff.net.0.proj.", "img_mlp.fc1."),
    ("ff.net.2.", "img_mlp.fc2."),
    ("ff_context.net.0.proj.", "txt_mlp.fc1."),
    ("ff_context.net.2.", "txt_mlp.fc2."),
)
_REFINER = (
    ("norm_out.linear.", "adaLN_modulation.1."),
    ("attn.to_out.0.", "self_attn_proj."),
    ("ff.net.0.proj.", "mlp.fc1."),
    ("ff.net.2.", "mlp.fc2."),
)
_VAE = (
    (r"\.(down|up)_blocks\.(\d)\.resnets\.(\d)\.", r".\1.\2.block.\3."),
    (r"\.(down|up)_blocks\.(\d)\.(down|up)samplers\.0\.", r".\1.\2.\3sample."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.to_", ".mid.attn_1."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
)


@cache
def parts() -> dict[str, Any]:
    """Everything that makes clips from text. Weights are exact in half precision."""
    transformer = HunyuanVideo15Transformer3DModel(
        in_channels=9,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=2,
        num_refiner_layers=1,
        text_embed_dim=encoders.LANGUAGE,
        text_embed_2_dim=_GLYPHS,
        image_embed_dim=_SEEN,
        rope_axes_dim=(2, 4, 4),
    )
    vae = AutoencoderKLHunyuanVideo15(latent_channels=4, block_out_channels=(8, 8, 16, 16, 16), layers_per_block=1)
    glyphs = T5Config(
        vocab_size=300, d_model=_GLYPHS, d_kv=8, d_ff=32, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu"
    )
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = CHAT
    return {
        "transformer": refreshed(transformer, 1),
        "vae": refreshed(vae, 2),
        "text_encoder": encoders.qwen2_5_vl().model.language_model,
        "tokenizer": tokenizer,
        "text_encoder_2": refreshed(T5EncoderModel(glyphs), 3),
        "tokenizer_2": ByT5Tokenizer(),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "guider": ClassifierFreeGuidance(),
    }


@cache
def eyes() -> Any:
    config = SiglipVisionConfig(
        hidden_size=_SEEN,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=28,
        patch_size=14,
    )
    return refreshed(SiglipVisionModel(config), 4)


def from_text() -> Any:
    return HunyuanVideo15Pipeline(**parts())


def from_picture() -> Any:
    side = {"height": 28, "width": 28}
    return HunyuanVideo15ImageToVideoPipeline(
        **parts(), image_encoder=eyes(), feature_extractor=SiglipImageProcessor(size=side)
    )


def save(folder: Path, *, fused: bool = False) -> Path:
    """The transformer's file. `fused`: queries, keys and values of the double blocks in one layer each."""
    tensors = state(parts()["transformer"])
    named: Tensors = {}
    homes = [name.rpartition("attn.to_q.weight")[0] for name in tensors if name.endswith("attn.to_q.weight")]
    for home in homes:
        kinds = [("attn.to_", "", "self_attn_qkv")] if "refiner" in home else []
        if fused and not kinds:
            kinds = [("attn.to_", "", "img_attn_qkv"), ("attn.add_", "_proj", "txt_attn_qkv")]
        for start, end, old in kinds:
            for leaf in ("weight", "bias"):
                pieces = [tensors.pop(f"{home}{start}{part}{end}.{leaf}") for part in "qkv"]
                named[f"{_name(home)}{old}.{leaf}"] = torch.cat(pieces)
    for leaf in ("weight", "bias"):
        scale, shift = tensors.pop(f"norm_out.linear.{leaf}").chunk(2)
        named[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat([shift, scale])
    named |= {_name(name): value for name, value in tensors.items()}
    return write(folder / "hunyuan_15.safetensors", named, {"transformer": {"rope_axes_dim": [2, 4, 4]}})


def _name(name: str) -> str:
    home = next((new, old) for new, old in _TOP if name.startswith(new))
    table = _REFINER if "refiner_blocks" in home[0] else _DOUBLE if home[0] == "transformer_blocks." else ()
    name = home[1] + name[len(home[0]) :]
    for new, old in table:
        name = re.sub(rf"(?<=\d\.){re.escape(new)}", old, name)
    return name


def save_vae(folder: Path) -> Path:
    named: Tensors = {}
    for name, value in state(parts()["vae"]).items():
        for new, old in _VAE:
            name = re.sub(new, old, name)
        named[name] = value
    return write(folder / "hunyuanvideo15_vae_fp16.safetensors", named)


def save_glyphs(folder: Path) -> Path:
    return encoders.t5_file(folder / "byt5_small_glyphxl_fp16.safetensors", parts()["text_encoder_2"])


def save_language_model(folder: Path) -> Path:
    return encoders.language_file(folder / "qwen_2.5_vl_7b.safetensors", encoders.qwen2_5_vl())


def save_eyes(folder: Path) -> Path:
    return write(folder / "sigclip_vision_patch14_384.safetensors", state(eyes()))
