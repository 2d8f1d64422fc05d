"""Reads PixArt-Σ models: one file with everything, the transformer alone beside its companions, diffusers folders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import isqrt
from typing import Any

import torch
from diffusers import PixArtTransformer2DModel
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from transformers import T5EncoderModel

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.adapters.flux_load import T5
from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.packing import PATCH
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.encoders import from_folder, lacking, t5
from swarm.engine.words.language_models import widths_fit
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import t5_tokenizer
from swarm.jobs.stage import Conditioning

_MARKERS = ("blocks.0.cross_attn.kv_linear.weight", "transformer_blocks.0.attn2.to_k.weight")
_HEADS = (72, 16)
"""Channels of a head: of the published models, and of small ones."""
_SIDE = 128
"""Latent cells along a side of the pictures a model was trained with, where its file does not tell."""
_SMALLEST = 64
"""Latent cells along a side of the pictures that the first of these models was trained with."""


class PixartText(Remembering):
    """T5's tokens without padding."""

    def __init__(self, words: T5Encoder) -> None:
        super().__init__()
        self._words = words

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        return Conditioning(tokens=self._words.encode(text, options.stop_at_layer))


class Places(torch.nn.Module):
    """The patches with their places, worked out for each size: by waves over as many units as a picture of the nearest
    trained size has patches. `stretch`: how many times larger than the smallest the trained pictures were; None where
    the file does not tell, then it is what fits the size."""

    def __init__(self, embedder: Any, stretch: int | None) -> None:
        super().__init__()
        self.proj, self._stretch = embedder.proj, stretch

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        height, width = latent.shape[-2:]
        patches: torch.Tensor = self.proj(latent).flatten(2).transpose(1, 2)
        fitting = max(1, round((height + width) // 2 / _SMALLEST))
        waves = get_2d_sincos_pos_embed(
            patches.shape[-1],
            (height // PATCH, width // PATCH),
            base_size=fitting * _SMALLEST // PATCH,
            interpolation_scale=self._stretch or fitting,
            device=latent.device,
        )
        return patches + waves.to(patches)


def load(source: Source) -> Parts:
    """The parts of a PixArt model. Raises BadInput."""
    dtype = wide(source.device)
    words = t5(source, T5, dtype)
    if words is None and source.folder is not None:
        words = from_folder(T5EncoderModel, source.folder / "text_encoder", dtype)
    if words is None:
        raise lacking(source, TEXT_ENCODERS["t5xxl"])
    transformer = _transformer(source, dtype)
    widths_fit(source.file.name, int(words.config.d_model), int(transformer.config.caption_channels))
    transformer.pos_embed = Places(transformer.pos_embed, transformer.config.interpolation_scale)
    return Parts(
        denoiser=transformer,
        vae=find_vae(source),
        text=PixartText(T5Encoder(words, t5_tokenizer(), source.device.place, ends=False)),
        text_modules=(words,),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        PixArtTransformer2DModel,
        _MARKERS,
        pixart_config,
        lambda shapes: pixart_names(count(shapes, r"(?:blocks|transformer_blocks)\.(\d+)\.")),
        dtype,
    )


@lru_cache(maxsize=16)
def pixart_names(blocks: int) -> Renaming:
    """The table for so many blocks."""
    entries = [*_around(), *(entry for number in range(blocks) for entry in _block(number))]
    return Renaming(modules=dict(entries), whole={"final_layer.scale_shift_table": "scale_shift_table"})


def _around() -> Iterator[Entry]:
    yield "x_embedder.proj", ("pos_embed.proj",)
    embedders = (("t", "timestep"), ("csize", "resolution"), ("ar", "aspect_ratio"))
    for old, new in embedders:
        for number, layer in enumerate((0, 2), 1):
            yield f"{old}_embedder.mlp.{layer}", (f"adaln_single.emb.{new}_embedder.linear_{number}",)
    yield "t_block.1", ("adaln_single.linear",)
    yield "y_embedder.y_proj.fc1", ("caption_projection.linear_1",)
    yield "y_embedder.y_proj.fc2", ("caption_projection.linear_2",)
    yield "final_layer.linear", ("proj_out",)


def _block(number: int) -> Iterator[Entry]:
    old, new = f"blocks.{number}", f"transformer_blocks.{number}"
    yield old, (new,)
    yield f"{old}.attn.qkv", tuple(f"{new}.attn1.to_{part}" for part in "qkv")
    yield f"{old}.attn.proj", (f"{new}.attn1.to_out.0",)
    yield f"{old}.cross_attn.q_linear", (f"{new}.attn2.to_q",)
    yield f"{old}.cross_attn.kv_linear", tuple(f"{new}.attn2.to_{part}" for part in "kv")
    yield f"{old}.cross_attn.proj", (f"{new}.attn2.to_out.0",)
    yield f"{old}.mlp.fc1", (f"{new}.ff.net.0.proj",)
    yield f"{old}.mlp.fc2", (f"{new}.ff.net.2",)


def pixart_config(shapes: Shapes) -> dict[str, Any]:
    """PixArtTransformer2DModel's config from names and shapes in either layout. Raises BadInput.

    The places of patches are worked out from the training size, which original files tell by their own table of them.
    """
    width, channels = either(shapes, "x_embedder.proj.weight", "pos_embed.proj.weight")[:2]
    head = next((size for size in _HEADS if width % size == 0), width)
    table = shapes.get("pos_embed")
    return {
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "in_channels": channels,
        "out_channels": either(shapes, "final_layer.linear.weight", "proj_out.weight")[0] // 4,
        "num_layers": count(shapes, r"(?:blocks|transformer_blocks)\.(\d+)\."),
        "cross_attention_dim": width,
        "sample_size": _SIDE if table is None else PATCH * isqrt(table[1]),
        "interpolation_scale": None if table is None else max(1, PATCH * isqrt(table[1]) // _SMALLEST),
        "patch_size": 2,
        "caption_channels": either(shapes, "y_embedder.y_proj.fc1.weight", "caption_projection.linear_1.weight")[1],
        "use_additional_conditions": any(
            name in shapes
            for name in ("csize_embedder.mlp.0.weight", "adaln_single.emb.resolution_embedder.linear_1.weight")
        ),
    }
