"""Reads Flux.2 models: Dev with Mistral, Klein with Qwen 3; the transformer alone beside its companions, one file with
everything, diffusers folders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from diffusers import Flux2Transformer2DModel
from transformers import Mistral3ForConditionalGeneration, Qwen3ForCausalLM

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_2_names import MARKERS, flux_2_config, flux_2_names
from swarm.engine.files.flux_names import block_counts
from swarm.engine.vaes.flux_2_vae import find_flux_2_vae
from swarm.engine.words.encoders import from_folder, lacking
from swarm.engine.words.language_models import MISTRAL, QWEN_3, Kind, language_model, shortened, widths_fit
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_language import LanguageEncoder, Padding, Template
from swarm.engine.words.tokenizer import QWEN_FIRST_MARK, qwen_tokenizer, tekken_tokenizer
from swarm.jobs.stage import Conditioning

PIPELINES = {"Flux2Pipeline": "flux.2-dev", "Flux2KleinPipeline": "flux.2-klein-4b"}
SHORTEST = 512
"""Tokens a prompt is filled up to."""
_LONGEST = 2048


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How one of the two reads prompts: the states of three `layers` side by side. `padding`: what the language model
    reads behind short prompts; without it zeros stand in front of its states."""

    kind: Kind
    layers: tuple[int, ...]
    template: Template
    padding: Padding | None = None


DEV = Reader(
    kind=MISTRAL,
    layers=(10, 20, 30),
    template=Template(
        before="[SYSTEM_PROMPT]You are an AI that reasons about image descriptions. You give structured responses "
        "focusing on object relationships, object\nattribution and actions without speculation.[/SYSTEM_PROMPT][INST]",
        after="[/INST]",
        longest=_LONGEST,
    ),
)
KLEIN = Reader(
    kind=QWEN_3,
    layers=(9, 18, 27),
    template=Template(
        before="<|im_start|>user\n",
        after="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        longest=_LONGEST,
    ),
    padding=Padding(token=QWEN_FIRST_MARK, shortest=SHORTEST),
)


class Flux2Text(Remembering):
    """The inner states of the language model, for the prompt with its template and filling; zeros stand in front of
    what is still too short."""

    def __init__(self, language: LanguageEncoder) -> None:
        super().__init__()
        self._language = language

    def whole(self, text: str, options: TextOptions) -> Conditioning:
        told = super().whole(text, options)
        missing = max(0, SHORTEST - told.tokens.shape[1])
        return replace(told, tokens=torch.nn.functional.pad(told.tokens, (0, 0, missing, 0)))

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        return Conditioning(tokens=self._language.encode(text))


def load(source: Source) -> Parts:
    """The parts of a Flux.2 model. Raises BadInput."""
    dtype = wide(source.device)
    reader = DEV if "mistral" in source.architecture.text_encoders else KLEIN
    transformer, words = _transformer(source, dtype), _language(source, reader, dtype)
    told = int(words.config.hidden_size) * len(reader.layers)
    widths_fit(source.file.name, told, int(transformer.config.joint_attention_dim))
    language = LanguageEncoder(
        words, _tokenizer(reader), source.device.place, reader.template, layers=reader.layers, padding=reader.padding
    )
    return Parts(
        denoiser=transformer,
        vae=find_flux_2_vae(source),
        text=Flux2Text(language),
        text_modules=(words,),
        compute=dtype,
    )


@cache
def _tokenizer(reader: Reader) -> Any:
    """Kept: Tekken's merges take seconds to work out, and nobody changes it here."""
    return tekken_tokenizer() if reader is DEV else qwen_tokenizer()


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        Flux2Transformer2DModel,
        MARKERS,
        flux_2_config,
        lambda shapes: flux_2_names(*block_counts(shapes)),
        dtype,
    )


def _language(source: Source, reader: Reader, dtype: torch.dtype) -> Any:
    """The language model up to the last layer that is listened to."""
    deepest = max(reader.layers)
    found: Any = language_model(source, reader.kind, dtype, layers=deepest)
    if found is not None:
        return found
    if source.folder is None:
        raise lacking(source, TEXT_ENCODERS[source.architecture.text_encoders[0]])
    place = source.folder / "text_encoder"
    if reader is DEV:
        return shortened(from_folder(Mistral3ForConditionalGeneration, place, dtype).model.language_model, deepest)
    return shortened(from_folder(Qwen3ForCausalLM, place, dtype).model, deepest)
