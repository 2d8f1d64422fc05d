"""Prompts to embeddings: chunks, weights, clip skip, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from swarm.engine.adapters.pixart_load import PixartText
from swarm.engine.components import TextOptions
from swarm.engine.words.text import CHUNK, ClipEncoder, ClipText, chunked
from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from tests.engine.conftest import SD, XL
from tests.support.tiny import encoders as encoders_of_t5
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return clip_tokenizer()


@pytest.fixture
def encoders(tiny: Mapping[str, Tiny], tokenizer: Any) -> ClipText:
    clip = ClipEncoder(model=tiny[SD].text[0], device=CPU, pad=None, default_layer=-1, normalise=True)
    return ClipText([clip], tokenizer)


def reference(tiny: Tiny, tokenizer: Any, text: str, layer: int = -1) -> torch.Tensor:
    """One chunk through transformers directly."""
    ids = tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    states = tiny.text[0](input_ids=ids, output_hidden_states=True).hidden_states[layer]
    normed: torch.Tensor = tiny.text[0].final_layer_norm(states)
    return normed


@torch.inference_mode()
def test_a_short_prompt_is_one_chunk_as_transformers_encodes_it(
    encoders: ClipText, tiny: Mapping[str, Tiny], tokenizer: Any
) -> None:
    made = encoders.encode("a red fox, in the snow!", TextOptions())
    assert made.tokens.shape == (1, 77, 32)
    assert made.pooled is None
    torch.testing.assert_close(made.tokens, reference(tiny[SD], tokenizer, "a red fox, in the snow!"))


@torch.inference_mode()
def test_clip_skip_takes_an_earlier_layer_through_the_last_norm(
    encoders: ClipText, tiny: Mapping[str, Tiny], tokenizer: Any
) -> None:
    made = encoders.encode("a boat", TextOptions(stop_at_layer=-2))
    torch.testing.assert_close(made.tokens, reference(tiny[SD], tokenizer, "a boat", layer=-2))
    beyond = encoders.encode("a boat", TextOptions(stop_at_layer=-20))
    torch.testing.assert_close(beyond.tokens, reference(tiny[SD], tokenizer, "a boat"))


@torch.inference_mode()
def test_weights_move_tokens_away_from_the_empty_prompt(
    encoders: ClipText, tiny: Mapping[str, Tiny], tokenizer: Any
) -> None:
    plain, empty = reference(tiny[SD], tokenizer, "a red fox"), reference(tiny[SD], tokenizer, "")
    weighted = encoders.encode("a (red:1.5) fox", TextOptions()).tokens
    torch.testing.assert_close(weighted[:, 2], empty[:, 2] + (plain[:, 2] - empty[:, 2]) * 1.5)
    for untouched in (0, 1, 3, 4):
        torch.testing.assert_close(weighted[:, untouched], plain[:, untouched])


@torch.inference_mode()
def test_breaks_and_length_add_chunks(encoders: ClipText) -> None:
    assert encoders.encode("a fox <break> a boat", TextOptions()).tokens.shape == (1, 2 * 77, 32)
    assert encoders.encode("fox " * 160, TextOptions()).tokens.shape == (1, 3 * 77, 32)
    first = encoders.encode("a fox", TextOptions()).tokens
    torch.testing.assert_close(encoders.encode("a fox <break> a boat", TextOptions()).tokens[:, :77], first)


@torch.inference_mode()
def test_an_embedding_is_remembered_until_the_weights_change(encoders: ClipText) -> None:
    first = encoders.encode("a fox", TextOptions())
    assert encoders.encode("a fox", TextOptions()) is first
    encoders.state = ("some lora",)
    assert encoders.encode("a fox", TextOptions()) is not first


@torch.inference_mode()
def test_xl_joins_both_encoders_and_pools_the_second(tiny: Mapping[str, Tiny], tokenizer: Any) -> None:
    clips = [
        ClipEncoder(model=model, device=CPU, pad=pad, default_layer=-2, normalise=False)
        for model, pad in zip(tiny[XL].text, (None, 0), strict=True)
    ]
    made = ClipText(clips, tokenizer).encode("a fox", TextOptions())
    assert made.tokens.shape == (1, 77, 96)
    assert made.pooled.shape == (1, 64)


def test_short_spans_are_not_torn_between_chunks() -> None:
    chunks = chunked([(range(72), 1.0), (range(5), 1.2), (range(80), 1.0)])
    assert [len(chunk.ids) for chunk in chunks] == [72, CHUNK, 10]
    assert chunks[1].weights[:6] == (1.2,) * 5 + (1.0,)


def test_nothing_is_one_empty_chunk() -> None:
    assert [chunk.ids for chunk in chunked([])] == [()]
    assert [chunk.ids for chunk in chunked([((), 1.0)])] == [()]


@torch.inference_mode()
def test_every_family_reads_breaks_part_by_part() -> None:
    text = PixartText(T5Encoder(encoders_of_t5.t5(), t5_tokenizer(), CPU))
    first, second = (text.encode(part, TextOptions()).tokens for part in ("a fox ", " a (boat:1.2)"))
    made = text.encode("a fox <break> a (boat:1.2)", TextOptions()).tokens
    torch.testing.assert_close(made, torch.cat([first, second], dim=1))
