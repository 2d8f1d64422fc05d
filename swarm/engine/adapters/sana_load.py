"""Reads Sana models: the transformer alone beside its companions, one file with everything, diffusers folders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import isqrt
from typing import Any

import torch
from diffusers import SanaTransformer2DModel

from swarm.base.errors import BadInput
from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.vaes.deep_vae import find_deep_vae
from swarm.engine.words.language_models import widths_fit
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_gemma import GemmaEncoder, gemma
from swarm.jobs.stage import Conditioning

_MARKERS = ("attention_y_norm.weight", "caption_norm.weight")
_HEAD, _CROSS_HEADS = 32, (112, 72, 32)
"""Channels of a head where a picture looks at itself, and where it looks at the prompt: of the published sizes."""
_SPREADS = {64: 1.0, 128: 2.0}
"""How far apart patches lie by the training size in latent cells; smaller models know no places."""
_LONGEST = 300
INSTRUCTION = "\n".join(
    (
        "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions suitable for "
        "image generation. Evaluate the level of detail in the user prompt:",
        "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, and spatial "
        "relationships to create vivid and concrete scenes.",
        "- If the prompt is already detailed, refine and enhance the existing details slightly without "
        "overcomplicating.",
        "Here are examples of how to transform or refine prompts:",
        "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a round shape, sleeping "
        "peacefully on a warm sunny windowsill, surrounded by pots of blooming red flowers.",
        "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, featuring glowing street "
        "lamps, a diverse crowd of people in colorful clothing, and a double-decker bus passing by towering glass "
        "skyscrapers.",
        "Please generate only the enhanced description for the prompt below and avoid including any additional "
        "commentary or evaluations:",
        "User Prompt: ",
    )
)
"""What the models were trained to read before every prompt; the text encoder sees it, the transformer does not."""


class SanaText(Remembering):
    """Gemma 2's last states of the prompt behind the instruction; negative prompts are read without it."""

    def __init__(self, language: GemmaEncoder) -> None:
        super().__init__()
        self._language = language
        self._opening = language.length(INSTRUCTION)

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        if options.is_negative:
            return Conditioning(tokens=self._language.encode(text)[:, :_LONGEST])
        states = self._language.encode(text, INSTRUCTION)
        own = states[:, self._opening :][:, : _LONGEST - 1]
        return Conditioning(tokens=torch.cat([states[:, :1], own], dim=1))


def load(source: Source) -> Parts:
    """The parts of a Sana model. Raises BadInput."""
    dtype = wide(source.device)
    transformer, (words, tokenizer) = _transformer(source, dtype), gemma(source, dtype)
    widths_fit(source.file.name, int(words.config.hidden_size), int(transformer.config.caption_channels))
    language = GemmaEncoder(words, tokenizer, source.device.place, longest=4096, last=True)
    return Parts(
        denoiser=transformer,
        vae=find_deep_vae(source),
        text=SanaText(language),
        text_modules=(words,),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    def config(shapes: Shapes) -> dict[str, Any]:
        if "cfg_embedder.mlp.0.weight" in shapes or "time_embed.guidance_embedder.linear_1.weight" in shapes:
            raise BadInput(
                f"The model '{source.file.name}' is a Sana Sprint; Sana Sprint can only run from a diffusers folder."
            )
        return sana_config(shapes)

    return transformer_of(
        source,
        SanaTransformer2DModel,
        _MARKERS,
        config,
        lambda shapes: sana_names(count(shapes, r"(?:blocks|transformer_blocks)\.(\d+)\.")),
        dtype,
    )


@lru_cache(maxsize=16)
def sana_names(blocks: int) -> Renaming:
    """The table for so many blocks."""
    entries = [*_around(), *(entry for number in range(blocks) for entry in _block(number))]
    return Renaming(modules=dict(entries), whole={"final_layer.scale_shift_table": "scale_shift_table"})


def _around() -> Iterator[Entry]:
    yield "x_embedder.proj", ("patch_embed.proj",)
    yield "t_embedder.mlp.0", ("time_embed.emb.timestep_embedder.linear_1",)
    yield "t_embedder.mlp.2", ("time_embed.emb.timestep_embedder.linear_2",)
    yield "t_block.1", ("time_embed.linear",)
    yield "y_embedder.y_proj.fc1", ("caption_projection.linear_1",)
    yield "y_embedder.y_proj.fc2", ("caption_projection.linear_2",)
    yield "attention_y_norm", ("caption_norm",)
    yield "final_layer.linear", ("proj_out",)


def _block(number: int) -> Iterator[Entry]:
    old, new = f"blocks.{number}", f"transformer_blocks.{number}"
    yield old, (new,)
    yield f"{old}.attn.qkv", tuple(f"{new}.attn1.to_{part}" for part in "qkv")
    yield f"{old}.attn.proj", (f"{new}.attn1.to_out.0",)
    yield f"{old}.cross_attn.q_linear", (f"{new}.attn2.to_q",)
    yield f"{old}.cross_attn.kv_linear", tuple(f"{new}.attn2.to_{part}" for part in "kv")
    yield f"{old}.cross_attn.proj", (f"{new}.attn2.to_out.0",)
    for part in "qk":
        yield f"{old}.attn.{part}_norm", (f"{new}.attn1.norm_{part}",)
        yield f"{old}.cross_attn.{part}_norm", (f"{new}.attn2.norm_{part}",)
    for part, home in (("inverted", "conv_inverted"), ("depth", "conv_depth"), ("point", "conv_point")):
        yield f"{old}.mlp.{part}_conv.conv", (f"{new}.ff.{home}",)


def sana_config(shapes: Shapes) -> dict[str, Any]:
    """SanaTransformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, channels, patch = either(shapes, "x_embedder.proj.weight", "patch_embed.proj.weight")[:3]
    inner = either(shapes, "blocks.0.mlp.point_conv.conv.weight", "transformer_blocks.0.ff.conv_point.weight")[1]
    head = next((size for size in _CROSS_HEADS if width % size == 0), width)
    normed = "blocks.0.attn.q_norm.weight" in shapes or "transformer_blocks.0.attn1.norm_q.weight" in shapes
    table = shapes.get("pos_embed")
    side = 32 if table is None else patch * isqrt(table[1])
    return {
        "in_channels": channels,
        "out_channels": either(shapes, "final_layer.linear.weight", "proj_out.weight")[0] // patch**2,
        "num_attention_heads": width // _HEAD,
        "attention_head_dim": _HEAD,
        "num_layers": count(shapes, r"(?:blocks|transformer_blocks)\.(\d+)\."),
        "num_cross_attention_heads": width // head,
        "cross_attention_head_dim": head,
        "cross_attention_dim": width,
        "caption_channels": either(shapes, "y_embedder.y_proj.fc1.weight", "caption_projection.linear_1.weight")[1],
        "mlp_ratio": inner / width,
        "sample_size": side,
        "patch_size": patch,
        "interpolation_scale": _SPREADS.get(side),
        "qk_norm": "rms_norm_across_heads" if normed else None,
    }
