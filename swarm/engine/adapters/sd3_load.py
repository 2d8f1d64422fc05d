"""Reads Stable Diffusion 3 models: one file with everything or with some of it, companions, diffusers folders."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import SD3Transformer2DModel
from transformers import CLIPTextModelWithProjection, T5EncoderModel

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.adapters.flux_load import CLIP_L, T5
from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.sd3_names import MARKERS, sd3_config, sd3_names
from swarm.engine.files.shapes import count
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.encoders import clip_big, clip_l, from_folder, lacking, t5
from swarm.engine.words.text import ClipEncoder, Remembering, clip_chunks
from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from swarm.jobs.stage import Conditioning

PIPELINES = {"StableDiffusion3Pipeline": "stable-diffusion-v3-medium"}
CLIP_G = ("text_encoders.clip_g.transformer.text_model.", "text_encoders.clip_g.transformer.", "text_encoders.clip_g.")
SHORTEST = 77
"""Tokens that T5's part is filled up to."""


class Sd3Text(Remembering):
    """CLIP's tokens (both widths side by side, zeros up to `width`), then T5's. Without T5 the model does with less,
    and encoders that a request does not want heard are left out; nothing at all is zeros."""

    def __init__(self, clips: tuple[ClipEncoder, ClipEncoder], t5: T5Encoder | None, width: int) -> None:
        super().__init__()
        self._clips = clips
        self._t5 = t5
        self._width = width
        self._tokenizer = clip_tokenizer()

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        words, pooled = self._by_clip(text, options)
        hears_clip, hears_t5 = "clip_l" not in options.silent, "t5xxl" not in options.silent
        if not hears_clip:
            pooled = torch.zeros_like(pooled)
        heard = [words] if hears_clip else []
        if self._t5 is not None and hears_t5:
            heard.append(self._t5.encode(text, options.stop_at_layer).to(words))
        return Conditioning(tokens=torch.cat(heard, dim=1) if heard else torch.zeros_like(words), pooled=pooled)

    def _by_clip(self, text: str, options: TextOptions) -> tuple[torch.Tensor, torch.Tensor]:
        chunks = clip_chunks(text, self._tokenizer, options)
        tokens, pooled = [], []
        for clip in self._clips:
            states, summary = clip.encode(chunks, options.stop_at_layer)
            assert summary is not None
            tokens.append(states.reshape(1, -1, states.shape[-1]))
            pooled.append(summary[:1])
        words = torch.cat(tokens, dim=-1)
        whole = torch.nn.functional.pad(words, (0, self._width - words.shape[-1]))
        return whole, torch.cat(pooled, dim=-1)


def load(source: Source) -> Parts:
    """The parts of a Stable Diffusion 3 model. Raises BadInput."""
    dtype = wide(source.device)
    small, big, words = _text_models(source, dtype)
    transformer, place = _transformer(source, dtype), source.device.place
    clips = (
        ClipEncoder(model=small, device=place, pad=None, default_layer=-2, normalise=False, summary=True),
        ClipEncoder(model=big, device=place, pad=0, default_layer=-2, normalise=False, slot="clip_g"),
    )
    spoken = None if words is None else T5Encoder(words, t5_tokenizer(), place, shortest=SHORTEST)
    return Parts(
        denoiser=transformer,
        vae=find_vae(source),
        text=Sd3Text(clips, spoken, int(transformer.config.joint_attention_dim)),
        text_modules=(small, big) if words is None else (small, big, words),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        SD3Transformer2DModel,
        MARKERS,
        sd3_config,
        lambda shapes: sd3_names(count(shapes, r"(?:joint_blocks|transformer_blocks)\.(\d+)\.")),
        dtype,
    )


def _text_models(source: Source, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    small: Any = clip_l(source, CLIP_L, dtype)
    big: Any = clip_big(source, "clip_g", CLIP_G, dtype, own="text_encoder_2")
    words: Any = t5(source, T5, dtype)
    if source.folder is not None:
        small = small or from_folder(CLIPTextModelWithProjection, source.folder / "text_encoder", dtype)
        big = big or from_folder(CLIPTextModelWithProjection, source.folder / "text_encoder_2", dtype)
        third = source.folder / "text_encoder_3"
        words = words or (from_folder(T5EncoderModel, third, dtype) if third.is_dir() else None)
    if small is None:
        raise lacking(source, TEXT_ENCODERS["clip_l"])
    if big is None:
        raise lacking(source, TEXT_ENCODERS["clip_g"])
    return small, big, words
