"""Reads Qwen-Image models: the transformer alone beside its companions, one file with everything, diffusers folders."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import QwenImageTransformer2DModel
from transformers import Qwen2_5_VLForConditionalGeneration

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.components import Parts, Source
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import either, rotary_axes
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.vaes.qwen_vae import find_qwen_vae
from swarm.engine.words.encoders import from_folder, lacking
from swarm.engine.words.language_models import QWEN_2_5_VL, find_language_model, language_model, widths_fit
from swarm.engine.words.qwen_eyes import QwenEyes, read_tower
from swarm.engine.words.qwen_text import TEMPLATE, QwenEditText, QwenText, SeeingEncoder
from swarm.engine.words.text_language import LanguageEncoder
from swarm.engine.words.tokenizer import qwen_tokenizer

PIPELINES = {
    "QwenImagePipeline": "qwen-image",
    "QwenImageEditPipeline": "qwen-image-edit",
    "QwenImageEditPlusPipeline": "qwen-image-edit-plus",
}
_MARKERS = ("transformer_blocks.0.attn.add_k_proj.weight",)
_TIMESTEP_ZERO = "__index_timestep_zero__"
"""Marks a model that reads reference pictures as of noise level 0."""
NAMES = Renaming(modules={})
"""Published files have diffusers' names."""


def load(source: Source) -> Parts:
    """The parts of a Qwen-Image model. Raises BadInput."""
    dtype = wide(source.device)
    transformer = _transformer(source, dtype)
    words, tower = _language(source, dtype)
    widths_fit(source.file.name, int(words.config.hidden_size), int(transformer.config.joint_attention_dim))
    return Parts(
        denoiser=transformer,
        vae=find_qwen_vae(source),
        text=_text(source, words, tower),
        text_modules=(words,) if tower is None else (words, tower),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    known = source.checkpoint.shapes if source.checkpoint is not None else {}

    def config(shapes: Shapes) -> dict[str, Any]:
        found = transformer_config(shapes)
        return {**found, "zero_cond_t": found["zero_cond_t"] or _TIMESTEP_ZERO in known}

    return transformer_of(source, QwenImageTransformer2DModel, _MARKERS, config, lambda _shapes: NAMES, dtype)


def transformer_config(shapes: Shapes) -> dict[str, Any]:
    """QwenImageTransformer2DModel's config from names and shapes. Raises BadInput."""
    width, inputs = either(shapes, "img_in.weight")[:2]
    head = either(shapes, "transformer_blocks.0.attn.norm_q.weight")[0]
    return {
        "in_channels": inputs,
        "out_channels": either(shapes, "proj_out.weight")[0] // 4,
        "num_layers": count(shapes, r"transformer_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": either(shapes, "txt_in.weight")[1],
        "axes_dims_rope": rotary_axes(head),
        "zero_cond_t": _TIMESTEP_ZERO in shapes,
    }


def _language(source: Source, dtype: torch.dtype) -> tuple[Any, Any]:
    """The language model, and for families that see the tower it sees with (None where its file has none)."""
    sees = source.architecture.takes_references
    found = find_language_model(source, QWEN_2_5_VL)
    if found is not None:
        return language_model(source, QWEN_2_5_VL, dtype), read_tower(found, dtype) if sees else None
    if source.folder is None:
        raise lacking(source, TEXT_ENCODERS["qwen2.5vl"])
    whole = from_folder(Qwen2_5_VLForConditionalGeneration, source.folder / "text_encoder", dtype).model
    return whole.language_model, whole.visual if sees else None


def _text(source: Source, words: Any, tower: Any) -> QwenText:
    place, tokenizer = source.device.place, qwen_tokenizer()
    plain = LanguageEncoder(words, tokenizer, place, TEMPLATE)
    if not source.architecture.takes_references:
        return QwenText(plain)
    several = source.architecture.pipeline == "QwenImageEditPlusPipeline"
    eyes = None if tower is None else QwenEyes(tower, place)
    return QwenEditText(plain, SeeingEncoder(words, tokenizer, place), eyes, several=several)
