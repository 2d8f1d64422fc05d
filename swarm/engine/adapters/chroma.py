"""Chroma: Flux.1's blocks with T5 alone, real guidance, and a small network in place of all modulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import ChromaTransformer2DModel
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from transformers import T5EncoderModel

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.engine.adapters.flux import FluxDenoiser, inpaint_channels
from swarm.engine.adapters.flux_load import T5
from swarm.engine.attending import spots
from swarm.engine.chains import blocks
from swarm.engine.components import Adapter, Components, Parts, Row, Source, TextOptions, kind_of
from swarm.engine.denoisers import row_width, transformer_of, wide
from swarm.engine.device import Device
from swarm.engine.files.flux_names import block_counts, chroma_config, chroma_names
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.once import Once
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.encoders import from_folder, lacking, t5
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import t5_tokenizer
from swarm.jobs.stage import Conditioning

_MARKERS = ("distilled_guidance_layer.in_proj.weight",)


class ChromaText(Remembering):
    """T5's tokens without padding."""

    def __init__(self, t5: T5Encoder) -> None:
        super().__init__()
        self._t5 = t5

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        return Conditioning(tokens=self._t5.encode(text, options.stop_at_layer))


class KeysHidden(FluxAttnProcessor):
    """Attention whose mask hides keys only. Queries that see nothing at all would have no answer."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        mask = None if attention_mask is None else attention_mask[..., -1:, :]
        return super().__call__(attn, hidden_states, encoder_hidden_states, mask, image_rotary_emb)


class Unguided:
    """The embedding of the guidance number that the network has no use for: 0 for each row. The library makes it on the
    processor and sends it to the device at each step."""

    def __init__(self, embedded: Callable[[torch.Tensor], torch.Tensor], device: Device) -> None:
        self._made: Once[int, torch.Tensor] = Once(lambda count: device.sent(embedded(torch.zeros(count))))

    def __call__(self, numbers: torch.Tensor) -> torch.Tensor:
        return self._made(len(numbers))


class ChromaDenoiser(FluxDenoiser):
    """Prompts of different lengths share a call: the shorter ones are filled up and the filling is hidden."""

    def __init__(self, components: Components, device: Device) -> None:
        super().__init__(components, device)
        self.network.set_attn_processor(KeysHidden())
        unguided = self.network.time_text_embed.guidance_proj
        unguided.forward = Unguided(unguided.forward, device)

    def alike(self, row: Row) -> object:
        return row.conditioning.tokens.shape[2], kind_of(row)

    def prompt_arguments(self, rows: Sequence[Row]) -> dict[str, Any]:
        place = self.device.place
        lengths = [int(row.conditioning.tokens.shape[1]) for row in rows]
        longest = max(lengths)
        tokens = torch.cat(
            [
                torch.nn.functional.pad(row.conditioning.tokens, (0, 0, 0, longest - length))
                for row, length in zip(rows, lengths, strict=True)
            ]
        ).to(place, self.dtype)
        told = {"encoder_hidden_states": tokens, "txt_ids": torch.zeros(longest, 3, device=place, dtype=self.dtype)}
        if min(lengths) == longest:
            return told
        height, width = rows[0].x.shape[-2:]
        cells = -(-height // 2) * -(-width // 2)
        seen = torch.arange(longest + cells, device=place)
        limits = self.numbers(lengths)[:, None]
        return {**told, "attention_mask": (seen < limits) | (seen >= longest)}


def load(source: Source) -> Parts:
    """The parts of a Chroma model. Raises BadInput."""
    dtype = wide(source.device)
    words = t5(source, T5, dtype)
    if words is None and source.folder is not None:
        words = from_folder(T5EncoderModel, source.folder / "text_encoder", dtype)
    if words is None:
        raise lacking(source, TEXT_ENCODERS["t5xxl"])
    encoder = T5Encoder(words, t5_tokenizer(), source.device.place, ends=False)
    return Parts(
        denoiser=_transformer(source, dtype),
        vae=find_vae(source),
        text=ChromaText(encoder),
        text_modules=(words,),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        ChromaTransformer2DModel,
        _MARKERS,
        chroma_config,
        _names,
        dtype,
    )


def _names(shapes: Shapes) -> Renaming:
    return chroma_names(*block_counts(shapes), count(shapes, r"distilled_guidance_layer\.layers\.(\d+)\."))


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    config = network.config
    numbers = config.num_layers, config.num_single_layers, config.approximator_layers
    return chroma_names(*map(int, numbers)).lora_names(key)


ADAPTER = Adapter(
    id="chroma",
    pipelines={"ChromaPipeline": "chroma"},
    load=load,
    denoiser=ChromaDenoiser,
    lora_keys=lora_keys,
    inpaint_channels=inpaint_channels,
    row_width=row_width,
    chain=blocks("transformer_blocks", "single_transformer_blocks"),
    attention=spots.flux,
)
