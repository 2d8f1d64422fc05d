"""Reads Flux.1 models: one file with everything, the transformer alone beside its companions, diffusers folders."""

from __future__ import annotations

from typing import Any

from diffusers import FluxTransformer2DModel
from transformers import CLIPTextModel, T5EncoderModel

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import MARKERS, block_counts, flux_config, flux_names
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.encoders import clip_l, from_folder, lacking, t5
from swarm.engine.words.text import ClipEncoder, Remembering, clip_chunks
from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from swarm.jobs.stage import Conditioning

PIPELINES = {
    "FluxPipeline": "Flux.1-dev",
    "FluxFillPipeline": "Flux.1-dev/inpaint",
    "FluxControlPipeline": "Flux.1-dev/depth",
    "FluxKontextPipeline": "Flux.1-dev/kontext",
}
CLIP_L = ("text_encoders.clip_l.transformer.text_model.", "text_encoders.clip_l.transformer.", "text_encoders.clip_l.")
T5 = ("text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.")
"""Where model files keep their text encoders."""
SHORTEST = 256
"""Tokens a prompt is filled up to."""


class FluxText(Remembering):
    """T5's tokens, and CLIP-L's summary of the prompt's first 75 tokens."""

    def __init__(self, clip: ClipEncoder, t5: T5Encoder) -> None:
        super().__init__()
        self._clip = clip
        self._t5 = t5
        self._tokenizer = clip_tokenizer()

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        _, summary = self._clip.encode(clip_chunks(text, self._tokenizer, options)[:1], options.stop_at_layer)
        assert summary is not None
        return Conditioning(tokens=self._t5.encode(text, options.stop_at_layer), pooled=summary[:1])


def load(source: Source) -> Parts:
    """The parts of a Flux model. Raises BadInput."""
    dtype = wide(source.device)
    clip, words = _text_models(source, dtype)
    place = source.device.place
    first = ClipEncoder(model=clip, device=place, pad=None, default_layer=-1, normalise=False, summary=True)
    return Parts(
        denoiser=_transformer(source, dtype),
        vae=find_vae(source),
        text=FluxText(first, T5Encoder(words, t5_tokenizer(), place, shortest=SHORTEST)),
        text_modules=(clip, words),
        compute=dtype,
    )


def _transformer(source: Source, dtype: Any) -> Any:
    return transformer_of(
        source,
        FluxTransformer2DModel,
        MARKERS,
        flux_config,
        lambda shapes: flux_names(*block_counts(shapes)),
        dtype,
    )


def _text_models(source: Source, dtype: Any) -> tuple[Any, Any]:
    clip, words = clip_l(source, CLIP_L, dtype), t5(source, T5, dtype)
    if source.folder is not None:
        clip = clip or from_folder(CLIPTextModel, source.folder / "text_encoder", dtype)
        words = words or from_folder(T5EncoderModel, source.folder / "text_encoder_2", dtype)
    if clip is None:
        raise lacking(source, TEXT_ENCODERS["clip_l"])
    if words is None:
        raise lacking(source, TEXT_ENCODERS["t5xxl"])
    return clip, words
