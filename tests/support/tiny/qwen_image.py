"""Qwen-Image in small. Its published names are diffusers' own; the VAE's are Wan's.

`EDIT` has the same tensors as `IMAGE`; `EDIT_PLUS` carries the empty mark `__index_timestep_zero__` that tells it.
Neither is made as a folder: the processor that belongs there cannot be built without torchvision.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from swarm.engine.words.tokenizer import qwen_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, write

WIDTH, HEAD, BLOCKS = 64, 32, 2
MARK = "__index_timestep_zero__"


def shapes() -> Shapes:
    found: Shapes = {"txt_norm.weight": (encoders.LANGUAGE,)}
    found |= linear("img_in", WIDTH, 64) | linear("txt_in", WIDTH, encoders.LANGUAGE)
    found |= linear("time_text_embed.timestep_embedder.linear_1", WIDTH, 256)
    found |= linear("time_text_embed.timestep_embedder.linear_2", WIDTH, WIDTH)
    for block in range(BLOCKS):
        at = f"transformer_blocks.{block}"
        for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out"):
            found |= linear(f"{at}.attn.{name}", WIDTH, WIDTH)
        found |= {f"{at}.attn.norm_{name}.weight": (HEAD,) for name in ("q", "k", "added_q", "added_k")}
        for side in ("img", "txt"):
            found |= linear(f"{at}.{side}_mod.1", 6 * WIDTH, WIDTH)
            found |= linear(f"{at}.{side}_mlp.net.0.proj", 4 * WIDTH, WIDTH)
            found |= linear(f"{at}.{side}_mlp.net.2", WIDTH, 4 * WIDTH)
    return found | linear("norm_out.linear", 2 * WIDTH, WIDTH) | linear("proj_out", 64, WIDTH)


def original(*, marked: bool = False) -> Tensors:
    tensors = fresh(shapes(), 61)
    for name, weight in tensors.items():
        if name.endswith("add_v_proj.weight"):
            weight.mul_(4)
    return tensors | ({MARK: torch.zeros(0)} if marked else {})


def convert(tensors: Tensors) -> Tensors:
    """diffusers reads these names as they are; the mark is no weight."""
    return {name: value for name, value in tensors.items() if name != MARK}


def denoiser(*, marked: bool = False) -> Any:
    model = QwenImageTransformer2DModel(
        num_layers=BLOCKS,
        attention_head_dim=HEAD,
        num_attention_heads=WIDTH // HEAD,
        joint_attention_dim=encoders.LANGUAGE,
        axes_dims_rope=(4, 14, 14),
        zero_cond_t=marked,
    )
    return filled(model, convert(original()))


def pipeline(kind: Any, model: Any) -> Any:
    processor = {} if kind is QwenImagePipeline else {"processor": EditProcessor()}
    words = encoders.qwen2_5_vl()
    words.register_forward_pre_hook(_told_where_pictures_are, with_kwargs=True)
    return kind(
        transformer=model,
        vae=autoencoders.qwen_vae(),
        text_encoder=words,
        tokenizer=qwen_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_shift=0.5,
            max_shift=0.9,
            base_image_seq_len=256,
            max_image_seq_len=8192,
            shift_terminal=0.02,
            time_shift_type="exponential",
        ),
        **processor,
    )


def _told_where_pictures_are(_module: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """transformers no longer finds pictures by their tokens alone, and the pipelines say nothing else of them; without
    this their cells would lie in a line."""
    if named.get("pixel_values") is not None:
        named = {**named, "mm_token_type_ids": (named["input_ids"] == 151_655).int()}
    return given, named


class EditProcessor:
    """Reads prompts with pictures in them as Qwen's own processor does: each mark as often as the picture has cells."""

    def __init__(self) -> None:
        self.tokenizer = qwen_tokenizer()
        self.image_processor = Qwen2VLImageProcessorPil()

    def __call__(self, *, text: list[str], images: Any, **options: Any) -> BatchFeature:
        seen = self.image_processor(images=images, return_tensors="pt")
        cells = iter(int(grid.prod()) // self.image_processor.merge_size**2 for grid in seen["image_grid_thw"])
        pad = "<|image_pad|>"
        spread = ["".join(part if part != pad else pad * next(cells) for part in _split(line, pad)) for line in text]
        return BatchFeature({**self.tokenizer(spread, **options), **seen}, tensor_type="pt")


def _split(line: str, mark: str) -> list[str]:
    parts: list[str] = []
    for part in line.split(mark):
        parts += [part, mark]
    return parts[:-1]


def vae_file(folder: Path) -> Path:
    return write(folder / "qwen_image_vae.safetensors", autoencoders.original_qwen(autoencoders.qwen_vae()))


def qwen_file(folder: Path) -> Path:
    return encoders.language_file(folder / "qwen_2.5_vl_7b.safetensors", encoders.qwen2_5_vl())


def extra() -> Tensors:
    """As packed with everything: the language model and the VAE."""
    found = below("vae.", autoencoders.original_qwen(autoencoders.qwen_vae()))
    return found | below("text_encoders.qwen25_7b.transformer.", encoders.language_tensors(encoders.qwen2_5_vl()))


def _family(id: str, kind: Any, *, marked: bool = False) -> TinyFamily:
    return TinyFamily(
        id=id,
        denoiser=partial(denoiser, marked=marked),
        original=partial(original, marked=marked),
        convert=convert,
        pipeline=partial(pipeline, kind),
        files={"vae": vae_file, "qwen2.5vl": qwen_file},
        extra=extra,
        foldered=kind is QwenImagePipeline,
    )


IMAGE = _family("qwen-image", QwenImagePipeline)
EDIT = _family("qwen-image-edit", QwenImageEditPipeline)
EDIT_PLUS = _family("qwen-image-edit-plus", QwenImageEditPlusPipeline, marked=True)
FAMILIES = (IMAGE, EDIT, EDIT_PLUS)
make = IMAGE.make
