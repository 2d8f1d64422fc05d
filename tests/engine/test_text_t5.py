"""T5 prompts: lengths, weights by the rule, layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import t5_tokenizer
from tests.support.tiny import encoders

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> object:
    return encoders.t5()


def made(model: object, **options: object) -> T5Encoder:
    return T5Encoder(model, t5_tokenizer(), CPU, **options)  # type: ignore[arg-type]


def test_lengths(model: object) -> None:
    assert made(model, shortest=256).encode("a cat").shape == (1, 256, encoders.T5)
    assert made(model, shortest=256).encode("cat " * 300).shape[1] == 301
    assert made(model).encode("a cat").shape[1] == 4
    assert made(model, shortest=77).encode("one BREAK two").shape[1] == 77


def test_weights_move_away_from_the_empty_prompt(model: object) -> None:
    encoder = made(model, shortest=16)
    plain, empty, strong = encoder.encode("a cat"), encoder.encode(""), encoder.encode("(a cat:1.5)")
    count = 3
    wanted = empty[:, :count] + (plain[:, :count] - empty[:, :count]) * 1.5
    assert torch.allclose(strong[:, :count], wanted, atol=1e-5)
    assert torch.allclose(strong[:, count:], plain[:, count:], atol=1e-6)


def test_padding_is_seen(model: object) -> None:
    words = made(model).encode("a red fox")
    assert not torch.allclose(made(model, shortest=40).encode("a red fox")[:, : words.shape[1]], words, atol=1e-3)


@torch.inference_mode()
def test_weights_may_lead_away_from_padding_alone(model: Any) -> None:
    encoder = made(model, ends=False)
    plain, strong = encoder.encode("a cat"), encoder.encode("(a cat:1.5)")
    padding = model(input_ids=torch.zeros(1, 4, dtype=torch.long)).last_hidden_state
    assert torch.allclose(strong[:, :3], padding[:, :3] + (plain[:, :3] - padding[:, :3]) * 1.5, atol=1e-5)
    assert torch.allclose(strong[:, 3:], plain[:, 3:], atol=1e-6)


def test_a_deeper_layer_gets_the_final_norm(model: object) -> None:
    encoder = made(model, shortest=8)
    last, before = encoder.encode("a cat", -1), encoder.encode("a cat", -2)
    assert not torch.allclose(last, before)
    assert torch.allclose(encoder.encode("a cat", -24), last)
