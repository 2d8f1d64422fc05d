"""Tiny text encoders, as modules with random weights and as the separate files people have of them.

Widths: CLIP-L 16, CLIP-G 32, T5 48, the language models 16. All tokens are there where the vocabulary ships with Swarm;
Gemma and Pile-T5 have a vocabulary of their own, inside their files.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralVisionConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from swarm.engine.words.sentencepiece import read_sentence_pieces, sentence_tokenizer
from tests.support.tiny.weights import Tensors, refreshed, state, write

CLIP_L, CLIP_G, T5, LANGUAGE, GEMMA, PILE = 16, 32, 48, 16, 16, 32
_SPEAKER = 32


def clip_l() -> Any:
    return refreshed(CLIPTextModelWithProjection(_clip(CLIP_L, 3, "quick_gelu")), 1)


def clip_g() -> Any:
    return refreshed(CLIPTextModelWithProjection(_clip(CLIP_G, 3, "gelu")), 2)


def _clip(width: int, layers: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=1,
        num_hidden_layers=layers,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )


def t5() -> Any:
    """T5 v1.1 with all 32 128 rows."""
    config = T5Config(
        vocab_size=32128,
        d_model=T5,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
    )
    return _quiet(refreshed(T5EncoderModel(config), 3))


def pile_t5() -> Any:
    """Pile-T5 is built as UMT5: every layer has its own position biases."""
    config = UMT5Config(
        vocab_size=len(PIECES), d_model=PILE, d_kv=16, d_ff=64, num_layers=2, num_heads=2, tie_word_embeddings=True
    )
    return _quiet(refreshed(UMT5EncoderModel(config), 4))


def _quiet(model: Any) -> Any:
    """T5 attends without scaling, and its embeddings are read unscaled; keep the sums small."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("SelfAttention.q.weight", "EncDecAttention.q.weight")):
                weight.mul_(0.25).copy_(weight.half())
    return model


def qwen3(layers: int = 3) -> Any:
    """Qwen 3 as Z-Image reads it (the last layer but one); Flux.2 Klein wants its layers 9, 18 and 27."""
    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=LANGUAGE,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )
    return refreshed(Qwen3ForCausalLM(config), 5)


def qwen2_5_vl() -> Any:
    """Qwen 2.5 VL with a tower for pictures."""
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 152064,
            "hidden_size": LANGUAGE,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 1,
            "out_hidden_size": LANGUAGE,
            "patch_size": 14,
            "fullatt_block_indexes": [1],
            "window_size": 112,
        },
        tie_word_embeddings=True,
        image_token_id=151655,
        video_token_id=151656,
        vision_start_token_id=151652,
    )
    return refreshed(Qwen2_5_VLForConditionalGeneration(config), 6)


def mistral() -> Any:
    """Mistral 3 as Flux.2 Dev reads it: its layers 10, 20 and 30."""
    text = MistralConfig(
        vocab_size=131072,
        hidden_size=LANGUAGE,
        intermediate_size=32,
        num_hidden_layers=31,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e9},
        sliding_window=None,
    )
    vision = PixtralVisionConfig(
        hidden_size=_SPEAKER, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, patch_size=14
    )
    config = Mistral3Config(text_config=text, vision_config=vision, tie_word_embeddings=True)
    return refreshed(Mistral3ForConditionalGeneration(config), 7)


def gemma2() -> Any:
    config = Gemma2Config(
        vocab_size=len(PIECES),
        hidden_size=GEMMA,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        max_position_embeddings=1024,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return refreshed(Gemma2Model(config), 8)


def clip_file(path: Path, model: Any) -> Path:
    return write(path, state(model))


def t5_file(path: Path, model: Any) -> Path:
    """The table of tokens once, under its shared name."""
    return write(path, t5_tensors(model))


def t5_tensors(model: Any) -> Tensors:
    return state(model, without=("encoder.embed_tokens.weight",))


def language_tensors(model: Any) -> Tensors:
    """A language model's weights by the names of the published files: `model.…`, pictures under `visual.…`."""
    found = state(model, without=("lm_head.weight",))
    found = {name.replace("model.language_model.", "model.", 1): value for name, value in found.items()}
    return {name.replace("model.visual.", "visual.", 1): value for name, value in found.items()}


def language_file(path: Path, model: Any) -> Path:
    return write(path, language_tensors(model))


def mistral_file(path: Path, model: Any) -> Path:
    """As packed for Flux.2: the language half alone."""
    tensors = language_tensors(model)
    return write(path, {name: value for name, value in tensors.items() if name.startswith(("model.layers", "model.e"))})


def gemma_tensors(model: Any) -> Tensors:
    """With its tokenizer's bytes."""
    return {f"model.{name}": value for name, value in state(model).items()} | {
        "spiece_model": pieces_tensor(prefixed=False)
    }


def gemma_file(path: Path, model: Any) -> Path:
    return write(path, gemma_tensors(model))


def pile_tensors(model: Any) -> Tensors:
    return t5_tensors(model) | {"spiece_model": pieces_tensor(prefixed=True)}


def pile_file(path: Path, model: Any) -> Path:
    return write(path, pile_tensors(model))


_WORDS = ("a", "of", "the", "in", "cat", "dog", "fox", "photo", "red", "blue", "house", "tree", "on", "and", "with")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?-'\"()<>/\n"


def _pieces() -> Mapping[str, tuple[float, int]]:
    """Text to (score, kind): marks, bytes, words with all their beginnings, single letters."""
    found: dict[str, tuple[float, int]] = {"<pad>": (0.0, 3), "</s>": (0.0, 3), "<s>": (0.0, 3), "<unk>": (0.0, 2)}
    found |= {f"<0x{byte:02X}>": (0.0, 6) for byte in range(256)}
    grown = [("▁" + word)[:end] for word in _WORDS for end in range(2, len(word) + 2)]
    for rank, text in enumerate([*dict.fromkeys(grown), "▁", *_LETTERS]):
        found.setdefault(text, (-float(rank), 1))
    return found


PIECES = _pieces()


def pieces_file(*, prefixed: bool) -> bytes:
    """A SentencePiece model over `PIECES`, with pairs: pad 0, end 1, begin 2, unknown 3. `prefixed`: as LLaMA's."""
    body = b""
    for text, (score, kind) in PIECES.items():
        entry = _field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind])
        body += _field(1, entry)
    numbers = {3: 2, 40: 3, 41: 2, 42: 1, 43: 0}
    body += _field(2, b"".join(_number(field << 3) + _number(value) for field, value in numbers.items()))
    return body + _field(3, bytes([0x18, int(prefixed)]))


def pieces_tokenizer(kind: Any, *, prefixed: bool, start: bool, end: bool) -> Any:
    """The tokenizer over `PIECES`, as an object of one of transformers' classes."""
    model = read_sentence_pieces(pieces_file(prefixed=prefixed))
    made = sentence_tokenizer(model, start=start, end=end)
    marks = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
    own = kind(**marks, add_bos_token=start, add_eos_token=end)
    own._tokenizer = made.backend_tokenizer
    return own


def pieces_tensor(*, prefixed: bool) -> torch.Tensor:
    return torch.frombuffer(bytearray(pieces_file(prefixed=prefixed)), dtype=torch.uint8)


def _field(number: int, data: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
