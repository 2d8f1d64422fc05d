"""Wan 2.1 and 2.2 from single files: the transformer, with UMT5, the VAE and, for some, CLIP's eyes beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import (
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import count
from swarm.engine.loader import fill, refuse_gaps
from swarm.engine.whole.single import Single, converted, denoiser_prefix, umt5
from swarm.engine.whole.wan_vae import FIRST_CHANNELS, wan_vae

_MARKERS = ("patch_embedding.weight", "condition_embedder.text_embedder.linear_1.weight")
_HEAD = 128
_EYES = "vision_model."
_Shapes = Mapping[str, tuple[int, ...]]


def load_wan(single: Single) -> Any:
    """The pipeline. Raises BadInput for what it does not understand, and for companions that are missing."""
    file = Checkpoint(single.file.path)
    transformer = _transformer(file, single)
    tokenizer, encoder = umt5(single)
    parts: dict[str, Any] = {
        "tokenizer": tokenizer,
        "text_encoder": encoder,
        "vae": wan_vae(single, transformer.config.out_channels),
        "scheduler": UniPCMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=single.family.flow_shift or 1.0
        ),
        "transformer": transformer,
    }
    if "swap" in single.parts:
        parts |= {"transformer_2": _transformer(Checkpoint(single.parts["swap"].path), single), "boundary_ratio": 0.9}
    if transformer.config.in_channels == transformer.config.out_channels:
        # The 5B model takes its first frame as latents without noise, so the levels differ from frame to frame.
        return WanPipeline(**parts, expand_timesteps=transformer.config.out_channels > FIRST_CHANNELS)
    if transformer.config.image_dim is not None:
        eyes = _eyes(single)
        side = eyes.config.image_size
        processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        parts |= {"image_encoder": eyes, "image_processor": processor}
    return WanImageToVideoPipeline(**parts)


def _transformer(file: Checkpoint, single: Single) -> Any:
    prefix = denoiser_prefix(file, *_MARKERS)
    shapes = file.below(prefix)
    if _MARKERS[1] in shapes or "blocks.0.self_attn.q.weight" not in shapes:
        raise BadInput(f"The model file '{file.path.name}' is of a layout of Wan that this server cannot read.")
    config = {**transformer_config(shapes), **file.config().get("transformer", {})}
    return converted(WanTransformer3DModel, config, file, prefix, convert_wan_transformer_to_diffusers, single.dtype)


def transformer_config(shapes: _Shapes) -> dict[str, Any]:
    """What diffusers has to know, told by the shapes of the original layout."""
    width, channels, *patch = shapes["patch_embedding.weight"]
    cells = patch[0] * patch[1] * patch[2]
    eyes = shapes.get("img_emb.proj.0.weight")
    ends = shapes.get("img_emb.emb_pos")
    return {
        "patch_size": tuple(patch),
        "num_attention_heads": max(1, width // _HEAD),
        "attention_head_dim": min(_HEAD, width),
        "in_channels": channels,
        "out_channels": shapes["head.head.weight"][0] // cells,
        "text_dim": shapes["text_embedding.0.weight"][1],
        "freq_dim": shapes["time_embedding.0.weight"][1],
        "ffn_dim": shapes["blocks.0.ffn.0.weight"][0],
        "num_layers": count(shapes, r"blocks\.(\d+)\."),
        "cross_attn_norm": "blocks.0.norm3.weight" in shapes,
        "image_dim": None if eyes is None else eyes[0],
        "added_kv_proj_dim": None if eyes is None else width,
        "pos_embed_seq_len": None if ends is None else ends[1],
    }


def _eyes(single: Single) -> Any:
    """CLIP ViT-H as Wan 2.1 sees its first frame."""
    part = single.part("clip_vision", "CLIP vision encoder", "clip_vision_h.safetensors")
    file = Checkpoint(part.path)
    if _EYES + "embeddings.class_embedding" not in file.shapes:
        raise BadInput(f"The file '{part.name}' holds no CLIP vision encoder in transformers' names.")
    model = CLIPVisionModel(CLIPVisionConfig(**{**eyes_config(file.below(_EYES)), **file.config().get("vision", {})}))
    own = {name for name, _weight in model.named_parameters()}
    wrapped = _EYES if any(name.startswith(_EYES) for name in own) else ""
    fill(model, part.name, ((wrapped + name, tensor) for name, tensor in file.tensors_below(_EYES)), single.dtype)
    refuse_gaps(part.name, model)
    return model.to(single.dtype).eval()


def eyes_config(shapes: _Shapes) -> dict[str, Any]:
    """The vision tower's config by its shapes; heads are 80 wide in ViT-H."""
    width, _channels, patch, _patch = shapes["embeddings.patch_embedding.weight"]
    places = shapes["embeddings.position_embedding.weight"][0] - 1
    return {
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, width // 80),
        "patch_size": patch,
        "image_size": round(places**0.5) * patch,
        "hidden_act": "gelu",
    }
