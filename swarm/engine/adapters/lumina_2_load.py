"""Reads Lumina 2 models: one file with everything, the transformer alone beside its companions, diffusers folders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from diffusers import Lumina2Transformer2DModel
from diffusers.models.transformers.transformer_lumina2 import Lumina2RotaryPosEmbed

from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.language_models import widths_fit
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_gemma import GemmaEncoder, gemma
from swarm.jobs.stage import Conditioning

PIPELINES = {"Lumina2Pipeline": "lumina-2"}
_CAPTION = "time_caption_embed.caption_embedder"
_MARKERS = ("cap_embedder.0.weight", f"{_CAPTION}.0.weight")
_STAGES = ("noise_refiner", "context_refiner", "layers")
_MODULATED = ("noise_refiner", "layers")
_PLACES = (2048, 512, 512)
"""Positions on each axis: the prompt's tokens, then rows and columns of patches. The models were trained with fewer
for prompts (300); positions beyond follow by the same rule."""


class LuminaText(Remembering):
    """The states before Gemma 2's last layer. The system prompt of the training is the user's to write."""

    def __init__(self, language: GemmaEncoder) -> None:
        super().__init__()
        self._language = language

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        return Conditioning(tokens=self._language.encode(text, layer=options.stop_at_layer))


def load(source: Source) -> Parts:
    """The parts of a Lumina 2 model. Raises BadInput."""
    dtype = wide(source.device)
    transformer, (words, tokenizer) = _transformer(source, dtype), gemma(source, dtype)
    widths_fit(source.file.name, int(words.config.hidden_size), int(transformer.config.cap_feat_dim))
    config = transformer.config
    transformer.rope_embedder = Lumina2RotaryPosEmbed(
        theta=10_000, axes_dim=config.axes_dim_rope, axes_lens=list(_PLACES), patch_size=config.patch_size
    )
    return Parts(
        denoiser=transformer,
        vae=find_vae(source),
        text=LuminaText(GemmaEncoder(words, tokenizer, source.device.place, longest=_PLACES[0] - 1)),
        text_modules=(words,),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        Lumina2Transformer2DModel,
        _MARKERS,
        lumina_config,
        lambda shapes: lumina_names(*(count(shapes, rf"{stage}\.(\d+)\.") for stage in _STAGES)),
        dtype,
    )


@lru_cache(maxsize=16)
def lumina_names(noise: int, context: int, layers: int) -> Renaming:
    """The table for so many layers that refine the picture, that refine the prompt, and that see both."""
    entries: list[Entry] = [
        ("cap_embedder.0", (f"{_CAPTION}.0",)),
        ("cap_embedder.1", (f"{_CAPTION}.1",)),
        ("t_embedder.mlp.0", ("time_caption_embed.timestep_embedder.linear_1",)),
        ("t_embedder.mlp.2", ("time_caption_embed.timestep_embedder.linear_2",)),
        ("final_layer.adaLN_modulation.1", ("norm_out.linear_1",)),
        ("final_layer.linear", ("norm_out.linear_2",)),
    ]
    for stage, size in zip(_STAGES, (noise, context, layers), strict=True):
        entries += [entry for n in range(size) for entry in _layer(f"{stage}.{n}.", modulated=stage in _MODULATED)]
    return Renaming(modules=dict(entries))


def _layer(at: str, *, modulated: bool) -> Iterator[Entry]:
    yield f"{at}attention.qkv", tuple(f"{at}attn.to_{part}" for part in "qkv")
    yield f"{at}attention.out", (f"{at}attn.to_out.0",)
    yield f"{at}attention.q_norm", (f"{at}attn.norm_q",)
    yield f"{at}attention.k_norm", (f"{at}attn.norm_k",)
    for part in "123":
        yield f"{at}feed_forward.w{part}", (f"{at}feed_forward.linear_{part}",)
    yield f"{at}attention_norm1", (f"{at}norm1.norm" if modulated else f"{at}norm1",)
    yield f"{at}attention_norm2", (f"{at}norm2",)
    if modulated:
        yield f"{at}adaLN_modulation.1", (f"{at}norm1.linear",)


def lumina_config(shapes: Shapes) -> dict[str, Any]:
    """Lumina2Transformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, inputs = either(shapes, "x_embedder.weight")
    head = either(shapes, "layers.0.attention.q_norm.weight", "layers.0.attn.norm_q.weight")[0]
    fused = shapes.get("layers.0.attention.qkv.weight")
    keys = either(shapes, "layers.0.attn.to_k.weight")[0] if fused is None else (fused[0] - width) // 2
    inner = either(shapes, "layers.0.feed_forward.w1.weight", "layers.0.feed_forward.linear_1.weight")[0]
    return {
        "in_channels": inputs // 4,
        "hidden_size": width,
        "num_layers": count(shapes, r"layers\.(\d+)\."),
        "num_refiner_layers": count(shapes, r"noise_refiner\.(\d+)\."),
        "num_attention_heads": width // head,
        "num_kv_heads": keys // head,
        "multiple_of": inner,
        "ffn_dim_multiplier": None if inner >= 4 * width else inner / (4 * width),
        "axes_dim_rope": (head // 3, head // 3, head // 3),
        "cap_feat_dim": either(shapes, "cap_embedder.0.weight", f"{_CAPTION}.0.weight")[0],
    }
