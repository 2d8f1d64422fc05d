"""HunyuanVideo from text from single files: the transformer, with LLaMA 3, CLIP-L and the VAE beside it."""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from diffusers.loaders.single_file_utils import convert_hunyuan_video_transformer_to_diffusers
from transformers import LlamaConfig, LlamaModel

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import refuse_gaps
from swarm.engine.whole.hunyuan_vae import hunyuan_vae
from swarm.engine.whole.single import Single, converted, source_of
from swarm.engine.words.encoders import clip_l
from swarm.engine.words.language_models import Kind, language_model
from swarm.engine.words.own_tokenizer import own_tokenizer
from swarm.engine.words.tokenizer import clip_tokenizer

PREFIXES = ("model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "model.", "")
_MARKER = "img_in.proj.weight"
SHIFT = 7.0
_LLAMA = Kind(
    slot="llama", what="LLaMA 3", model=LlamaModel, config=LlamaConfig, theta=500_000.0, eps=1e-5, turned=True
)
_FUSED = re.compile(r"single_blocks\.(\d+)\.linear1\.(weight|bias)")

# Files that were packed for ComfyUI spell some layers in another way than the published ones.
_RESPELLED = (
    (re.compile(r"(img|txt)_mod\.lin\."), r"\1_mod.linear."),
    (re.compile(r"\.modulation\.lin\."), ".modulation.linear."),
    (re.compile(r"_attn\.qkv\."), "_attn_qkv."),
    (re.compile(r"_attn\.proj\."), "_attn_proj."),
    (re.compile(r"_attn\.norm\.(query|key)_norm\.scale"), lambda found: f"_attn_{found[1][0]}_norm.weight"),
    (re.compile(r"\.norm\.(query|key)_norm\.scale"), lambda found: f".{found[1][0]}_norm.weight"),
    (re.compile(r"(img_mlp|txt_mlp|blocks\.\d+\.mlp)\.0\."), r"\1.fc1."),
    (re.compile(r"(img_mlp|txt_mlp|blocks\.\d+\.mlp)\.2\."), r"\1.fc2."),
    (re.compile(r"(time_in|guidance_in|t_embedder)\.in_layer\."), r"\1.mlp.0."),
    (re.compile(r"(time_in|guidance_in|t_embedder)\.out_layer\."), r"\1.mlp.2."),
    (re.compile(r"c_embedder\.in_layer\."), "c_embedder.linear_1."),
    (re.compile(r"c_embedder\.out_layer\."), "c_embedder.linear_2."),
)


def load_hunyuan(single: Single) -> Any:
    """The pipeline, clips from text. Raises BadInput for what it does not understand, and for missing companions."""
    file = Checkpoint(single.file.path)
    transformer = hunyuan_transformer(file, single)
    tokenizer, llama = llama_3(single)
    return HunyuanVideoPipeline(
        transformer=transformer,
        vae=hunyuan_vae(single),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        text_encoder=llama,
        tokenizer=tokenizer,
        text_encoder_2=plain_clip(single),
        tokenizer_2=clip_tokenizer(),
    )


def hunyuan_transformer(file: Checkpoint, single: Single, *, sees: bool = False) -> Any:
    """`sees`: for clips from a picture, which it is shown beside the noise or in place of the first frame's.

    Raises BadInput.
    """
    prefix = file.prefix(PREFIXES, _MARKER)
    if prefix is None:
        raise BadInput(f"The model file '{single.file.name}' holds no denoiser of HunyuanVideo in its original names.")
    shapes = {published(name): shape for name, shape in file.below(prefix).items()}
    config = transformer_config(shapes)
    if sees:
        beside = config["in_channels"] > config["out_channels"]
        config["image_condition_type"] = "latent_concat" if beside else "token_replace"
    config |= file.config().get("transformer", {})
    return converted(HunyuanVideoTransformer3DModel, config, file, prefix, _converted, single.dtype)


def transformer_config(shapes: Shapes) -> dict[str, Any]:
    """What diffusers has to know, told by the shapes of the published layout."""
    return {
        **two_stream_config(shapes),
        "num_single_layers": count(shapes, r"single_blocks\.(\d+)\."),
        "guidance_embeds": "guidance_in.mlp.0.weight" in shapes,
        "pooled_projection_dim": shapes["vector_in.in_layer.weight"][1],
    }


def two_stream_config(shapes: Shapes) -> dict[str, Any]:
    """What both versions of HunyuanVideo have: blocks in which words and picture go side by side."""
    width, channels, *patch = shapes[_MARKER]
    head = shapes["double_blocks.0.img_attn_q_norm.weight"][0]
    return {
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight"][0] // (patch[0] * patch[1] * patch[2]),
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "num_layers": count(shapes, r"double_blocks\.(\d+)\."),
        "num_refiner_layers": count(shapes, r"txt_in\.individual_token_refiner\.blocks\.(\d+)\."),
        "mlp_ratio": shapes["double_blocks.0.img_mlp.fc1.weight"][0] / width,
        "patch_size": patch[1],
        "patch_size_t": patch[0],
        "text_embed_dim": shapes["txt_in.input_embedder.weight"][1],
    }


def published(name: str) -> str:
    """A tensor's name as Tencent published it."""
    for pattern, spelled in _RESPELLED:
        name = pattern.sub(spelled, name)
    return name


def _converted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """By diffusers' converter, which knows one width only where queries, keys, values and more are one layer."""
    named: dict[str, torch.Tensor] = {}
    apart: dict[str, torch.Tensor] = {}
    for name, tensor in ((published(name), tensor) for name, tensor in tensors.items()):
        match = _FUSED.fullmatch(name)
        if match is None:
            named[name] = tensor
            continue
        width = tensors[f"single_blocks.{match[1]}.linear2.weight"].shape[0]
        home = f"single_transformer_blocks.{match[1]}"
        homes = [f"{home}.attn.to_{part}.{match[2]}" for part in "qkv"] + [f"{home}.proj_mlp.{match[2]}"]
        pieces = tensor.split([width, width, width, tensor.shape[0] - 3 * width])
        apart |= dict(zip(homes, pieces, strict=True))
    return apart | convert_hunyuan_video_transformer_to_diffusers(named)


def llama_3(single: Single) -> tuple[Any, Any]:
    """(tokenizer, LLaMA 3's layers). Raises BadInput."""
    part = single.part("llama", "LLaMA 3 text encoder", "llava_llama3_fp8_scaled.safetensors")
    model = language_model(source_of(single), _LLAMA, single.dtype)
    refuse_gaps(part.name, model)
    tokenizer: Any = own_tokenizer(Checkpoint(part.path))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)  # what is padded is masked
    return tokenizer, model.to(single.dtype).eval()


def plain_clip(single: Single) -> Any:
    """CLIP-L. Raises BadInput."""
    part = single.part("clip_l", "CLIP-L text encoder", "clip_l.safetensors")
    model: Any = clip_l(source_of(single), (), single.dtype)
    refuse_gaps(part.name, model)
    return model.to(single.dtype).eval()
