"""A tiny HunyuanVideo as people have it: the transformer alone, LLaMA 3, CLIP-L and the VAE beside it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel

from tests.support.tiny import video
from tests.support.tiny.weights import Tensors, refreshed, state, write

FAMILY = "hunyuan-video"
_NAMES = (
    ("context_embedder.time_text_embed.timestep_embedder.linear_1.", "txt_in.t_embedder.mlp.0."),
    ("context_embedder.time_text_embed.timestep_embedder.linear_2.", "txt_in.t_embedder.mlp.2."),
    ("context_embedder.time_text_embed.text_embedder.", "txt_in.c_embedder."),
    ("context_embedder.proj_in.", "txt_in.input_embedder."),
    ("context_embedder.token_refiner.refiner_blocks.", "txt_in.individual_token_refiner.blocks."),
    ("time_text_embed.timestep_embedder.linear_1.", "time_in.mlp.0."),
    ("time_text_embed.timestep_embedder.linear_2.", "time_in.mlp.2."),
    ("time_text_embed.guidance_embedder.linear_1.", "guidance_in.mlp.0."),
    ("time_text_embed.guidance_embedder.linear_2.", "guidance_in.mlp.2."),
    ("time_text_embed.text_embedder.linear_1.", "vector_in.in_layer."),
    ("time_text_embed.text_embedder.linear_2.", "vector_in.out_layer."),
    ("x_embedder.", "img_in."),
)
_REFINER = (
    ("norm_out.linear.", "adaLN_modulation.1."),
    ("attn.to_out.0.", "self_attn_proj."),
    ("ff.net.0.proj.", "mlp.fc1."),
    ("ff.net.2.", "mlp.fc2."),
)
_DOUBLE = (
    ("norm1.linear.", "img_mod.linear."),
    ("norm1_context.linear.", "txt_mod.linear."),
    ("attn.norm_q.", "img_attn_q_norm."),
    ("attn.norm_k.", "img_attn_k_norm."),
    ("attn.norm_added_q.", "txt_attn_q_norm."),
    ("attn.norm_added_k.", "txt_attn_k_norm."),
    ("attn.to_out.0.", "img_attn_proj."),
    ("attn.to_add_out.", "txt_attn_proj."),
    ("ff.net.0.proj.", "img_mlp.fc1."),
    ("ff.net.2.", "img_mlp.fc2."),
    ("ff_context.net.0.proj.", "txt_mlp.fc1."),
    ("ff_context.net.2.", "txt_mlp.fc2."),
)
_SINGLE = (
    ("norm.linear.", "modulation.linear."),
    ("attn.norm_q.", "q_norm."),
    ("attn.norm_k.", "k_norm."),
    ("proj_out.", "linear2."),
)
_FUSED = {
    "context_embedder.token_refiner.refiner_blocks.0.": (("attn.to_q", "attn.to_k", "attn.to_v"), "self_attn_qkv"),
    "transformer_blocks.0.": (("attn.to_q", "attn.to_k", "attn.to_v"), "img_attn_qkv"),
    "transformer_blocks.0.attn.": (("add_q_proj", "add_k_proj", "add_v_proj"), "txt_attn_qkv"),
    "single_transformer_blocks.0.": (("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), "linear1"),
}
_RESPELLED = (
    (r"_mod\.linear\.", "_mod.lin."),
    (r"modulation\.linear\.", "modulation.lin."),
    (r"_attn_qkv\.", "_attn.qkv."),
    (r"_attn_proj\.", "_attn.proj."),
    (r"_attn_q_norm\.weight", "_attn.norm.query_norm.scale"),
    (r"_attn_k_norm\.weight", "_attn.norm.key_norm.scale"),
    (r"\.q_norm\.weight", ".norm.query_norm.scale"),
    (r"\.k_norm\.weight", ".norm.key_norm.scale"),
    (r"mlp\.fc1\.", "mlp.0."),
    (r"mlp\.fc2\.", "mlp.2."),
    (r"(time_in|guidance_in|t_embedder)\.mlp\.0\.", r"\1.in_layer."),
    (r"(time_in|guidance_in|t_embedder)\.mlp\.2\.", r"\1.out_layer."),
    (r"c_embedder\.linear_1\.", "c_embedder.in_layer."),
    (r"c_embedder\.linear_2\.", "c_embedder.out_layer."),
)


@cache
def pipeline() -> Any:
    torch.manual_seed(0)
    made = video.hunyuan()
    refreshed(made.vae, 6)
    return made


@cache
def llama() -> Any:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=200,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=4,
        num_attention_heads=1,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    )
    return LlamaModel(config).eval()


@cache
def clip() -> Any:
    torch.manual_seed(3)
    config = CLIPTextConfig(
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=1,
        num_hidden_layers=2,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    return refreshed(CLIPTextModel(config), 7)


def save(folder: Path, *, repacked: bool = False, family: str = "") -> Path:
    """The transformer's file, as published or as repacked for ComfyUI."""
    named = published_tensors(pipeline().transformer)
    tensors = {_repacked(name) if repacked else name: value for name, value in named.items()}
    config = {"transformer": {"rope_axes_dim": [2, 4, 4]}}
    return write(folder / "hunyuan.safetensors", tensors, config, family)


def published_tensors(transformer: Any) -> Tensors:
    """A transformer with one block of each kind, in its original names."""
    tensors = state(transformer)
    named: Tensors = {}
    for home, (parts, old) in _FUSED.items():
        for leaf in ("weight", "bias"):
            pieces = [tensors.pop(f"{home}{part}.{leaf}") for part in parts]
            start = _name(home.removesuffix("attn."))
            named[f"{start}{old}.{leaf}"] = torch.cat(pieces)
    for leaf in ("weight", "bias"):
        scale, shift = tensors.pop(f"norm_out.linear.{leaf}").chunk(2)
        named[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat([shift, scale])
        named[f"final_layer.linear.{leaf}"] = tensors.pop(f"proj_out.{leaf}")
    return named | {_name(name): value for name, value in tensors.items()}


def _name(name: str) -> str:
    for new, old in _NAMES:
        if name.startswith(new):
            name = old + name[len(new) :]
            break
    for start, home, table in (
        ("single_transformer_blocks.", "single_blocks.", _SINGLE),
        ("transformer_blocks.", "double_blocks.", _DOUBLE),
        ("txt_in.individual", "txt_in.individual", _REFINER),
    ):
        if name.startswith(start):
            name = home + name[len(start) :]
            for new, old in table:
                name = re.sub(rf"(?<=\d\.){re.escape(new)}", old, name)
            break
    return name


def _repacked(name: str) -> str:
    for new, old in _RESPELLED:
        name = re.sub(new, old, name)
    return f"model.model.{name}"


def save_vae(folder: Path, *, repacked: bool = False) -> Path:
    tensors = state(pipeline().vae)
    if repacked:
        tensors = {_vae_name(name): value for name, value in tensors.items()}
    return write(folder / "hunyuan_video_vae_bf16.safetensors", tensors, {"vae": {"norm_num_groups": 4}})


def _vae_name(name: str) -> str:
    if found := re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)", name):
        rest = found[2].replace("group_norm.", "norm.").replace("to_out.0.", "proj_out.")
        return f"{found[1]}.mid.attn_1.{re.sub(r'^to_', '', rest)}"
    if found := re.fullmatch(r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.+)", name):
        return f"{found[1]}.mid.block_{int(found[2]) + 1}.{found[3]}"
    found = re.fullmatch(
        r"(encoder\.down|decoder\.up)_blocks\.(\d)\.(resnets|downsamplers|upsamplers)\.(\d)\.(.+)", name
    )
    if found is None:
        return name.replace("conv_norm_out", "norm_out")
    level = int(found[2]) if found[1].endswith("down") else 3 - int(found[2])
    if found[3] != "resnets":
        return f"{found[1]}.{level}.{found[3].removesuffix('rs')}.{found[5]}"
    return f"{found[1]}.{level}.block.{found[4]}.{found[5].replace('conv_shortcut', 'nin_shortcut')}"


def save_llama(folder: Path) -> Path:
    """With its tokenizer inside."""
    tensors = {f"model.{name}": value for name, value in state(llama()).items()}
    text = video.llama_tokenizer().backend_tokenizer.to_str()
    tensors["tokenizer_json"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return write(folder / "llava_llama3_fp16.safetensors", tensors)


def save_clip(folder: Path) -> Path:
    named = {name if name.startswith("text_model.") else f"text_model.{name}": v for name, v in state(clip()).items()}
    return write(folder / "clip_l.safetensors", named)
