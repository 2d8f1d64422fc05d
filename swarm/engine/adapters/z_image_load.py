"""Reads Z-Image models: one file with everything, the transformer alone beside its companions, diffusers folders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from transformers import Qwen3Model

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.encoders import from_folder, lacking
from swarm.engine.words.language_models import QWEN_3, language_model, widths_fit
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_language import LanguageEncoder, Template
from swarm.engine.words.tokenizer import qwen_tokenizer
from swarm.jobs.stage import Conditioning

PIPELINES = {"ZImagePipeline": "z-image"}
_MARKERS = ("cap_embedder.0.weight",)
_STAGES = ("noise_refiner", "context_refiner", "layers")
_PLACES = (1536, 512, 512)
"""Positions that the published models know on each axis: the prompt's tokens, then rows and columns of patches."""
_TOGETHER = 32
"""Prompts are filled up to a multiple of so many tokens inside the network."""
_LAST_BUT_ONE = -2


class ZImageText(Remembering):
    """The states before Qwen 3's last layer, for the prompt with its template. The text is taken as it is."""

    def __init__(self, language: LanguageEncoder) -> None:
        super().__init__()
        self._language = language

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        return Conditioning(tokens=self._language.encode(text, options.stop_at_layer))


def load(source: Source) -> Parts:
    """The parts of a Z-Image model. Raises BadInput."""
    dtype = wide(source.device)
    transformer, words = _transformer(source, dtype), _language(source, dtype)
    widths_fit(source.file.name, int(words.config.hidden_size), int(transformer.config.cap_feat_dim))
    template = Template(
        before="<|im_start|>user\n",
        after="<|im_end|>\n<|im_start|>assistant\n",
        longest=longest_prompt(int(transformer.config.axes_lens[0])),
    )
    place = source.device.place
    return Parts(
        denoiser=transformer,
        vae=find_vae(source),
        text=ZImageText(LanguageEncoder(words, qwen_tokenizer(), place, template, layers=(_LAST_BUT_ONE,))),
        text_modules=(words,),
        compute=dtype,
    )


def longest_prompt(places: int) -> int:
    """Tokens of a prompt for which a network with so many positions has room: the picture follows the filled prompt,
    which begins at 1."""
    return (places - 2) // _TOGETHER * _TOGETHER


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        ZImageTransformer2DModel,
        _MARKERS,
        z_image_config,
        lambda shapes: z_image_names(*(count(shapes, rf"{stage}\.(\d+)\.") for stage in _STAGES)),
        dtype,
    )


def _language(source: Source, dtype: torch.dtype) -> Any:
    found: Any = language_model(source, QWEN_3, dtype)
    if found is None and source.folder is not None:
        found = from_folder(Qwen3Model, source.folder / "text_encoder", dtype)
    if found is None:
        raise lacking(source, TEXT_ENCODERS["qwen3"])
    return found


@lru_cache(maxsize=16)
def z_image_names(noise: int, context: int, layers: int) -> Renaming:
    """The table for so many layers that refine the picture, that refine the prompt, and that see both."""
    entries: list[Entry] = [
        ("x_embedder", ("all_x_embedder.2-1",)),
        ("final_layer.linear", ("all_final_layer.2-1.linear",)),
        ("final_layer.adaLN_modulation.1", ("all_final_layer.2-1.adaLN_modulation.1",)),
    ]
    for stage, size in zip(_STAGES, (noise, context, layers), strict=True):
        entries += [entry for n in range(size) for entry in _attention(f"{stage}.{n}.attention.")]
    return Renaming(modules=dict(entries))


def _attention(at: str) -> Iterator[Entry]:
    yield f"{at}qkv", tuple(f"{at}to_{part}" for part in "qkv")
    yield f"{at}out", (f"{at}to_out.0",)
    yield f"{at}q_norm", (f"{at}norm_q",)
    yield f"{at}k_norm", (f"{at}norm_k",)


def z_image_config(shapes: Shapes) -> dict[str, Any]:
    """ZImageTransformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, inputs = either(shapes, "x_embedder.weight", "all_x_embedder.2-1.weight")
    head = either(shapes, "layers.0.attention.q_norm.weight", "layers.0.attention.norm_q.weight")[0]
    return {
        "in_channels": inputs // 4,
        "dim": width,
        "n_layers": count(shapes, r"layers\.(\d+)\."),
        "n_refiner_layers": count(shapes, r"noise_refiner\.(\d+)\."),
        "n_heads": width // head,
        "n_kv_heads": width // head,
        "cap_feat_dim": either(shapes, "cap_embedder.0.weight")[0],
        "axes_dims": [head // 4, head // 8 * 3, head // 8 * 3],
        "axes_lens": list(_PLACES),
    }
