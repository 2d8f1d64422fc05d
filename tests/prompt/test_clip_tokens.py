"""The token counter counts what the encoder reads."""

from __future__ import annotations

import random
import time

import pytest

from swarm.engine.words.tokenizer import clip_tokenizer
from swarm.prompt.clip_tokens import clip_tokens

TEXTS = (
    "",
    "a cat",
    "masterpiece, best quality, 8k uhd!!! (it's a dog's life, they've said)",
    "MiXeD CaSe 1234 x2 ²½ Ⅷ",
    "naïve café, Ünïcödé, cafe\u0301",
    "日本語のテキスト и русский текст 🎨🖼️",
    "tabs\tand\nlines   and\u00a0blanks",
    "antidisestablishmentarianism supercalifragilisticexpialidocious",
    "'s 't '''re !'ll",
)


def test_known_numbers() -> None:
    assert [(token.id, token.text) for token in clip_tokens("A cat!")] == [
        (320, "a</w>"),
        (2368, "cat</w>"),
        (256, "!</w>"),
    ]


def test_a_long_text_is_quick() -> None:
    started = time.process_time()
    assert clip_tokens("x" * 102_400) and clip_tokens("\x00!" * 51_200)
    assert time.process_time() - started < 10


@pytest.mark.torch
@pytest.mark.parametrize("text", TEXTS)
def test_the_encoder_agrees(text: str) -> None:
    assert [token.id for token in clip_tokens(text)] == clip_tokenizer()(text, add_special_tokens=False)["input_ids"]


@pytest.mark.torch
def test_the_encoder_agrees_about_any_words() -> None:
    rng, encoder = random.Random(7), clip_tokenizer()
    for _ in range(200):
        text = "".join(rng.choice("abcdeilnorstu ,.'!-0129éß") for _ in range(60))
        assert [token.id for token in clip_tokens(text)] == encoder(text, add_special_tokens=False)["input_ids"], text
