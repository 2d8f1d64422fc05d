"""The tokenizers that ship, and those a user brings."""

from __future__ import annotations

import base64
import json
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.words.own_tokenizer import own_tokenizer, tokenizer_beside
from swarm.engine.words.tokenizer import (
    TEKKEN_FIRST_TOKEN,
    TEKKEN_MARKS,
    TEKKEN_PATTERN,
    qwen_tokenizer,
    t5_tokenizer,
    tekken_tokenizer,
)

pytestmark = pytest.mark.torch
Made = Callable[[], Any]


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """Made with every socket refused."""
    real = socket.socket.connect

    def refuse(*_: Any) -> None:
        raise AssertionError("a tokenizer asked the network")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    try:
        return {"t5": t5_tokenizer(), "qwen": qwen_tokenizer(), "tekken": tekken_tokenizer()}
    finally:
        socket.socket.connect = real  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("kind", "text", "ids"),
    [
        ("t5", "a photo of a cat", [3, 9, 1202, 13, 3, 9, 1712, 1]),
        ("t5", "", [1]),
        ("t5", "  spaces \n and\tlines ", [4856, 11, 2356, 1]),
        ("qwen", "a photo of a cat", [64, 6548, 315, 264, 8251]),
        (
            "qwen",
            "<|im_start|>user\nhi<|im_end|>\n<think>x</think>",
            [151644, 872, 198, 6023, 151645, 198, 151667, 87, 151668],
        ),
        ("tekken", "a photo of a cat", [1, 1097, 16649, 1307, 1261, 7990]),
        ("tekken", "[SYSTEM_PROMPT]You[/SYSTEM_PROMPT][INST]a cat[/INST]", [1, 17, 4568, 18, 3, 1097, 7990, 4]),
    ],
)
def test_known_prompts_give_known_numbers(shipped: dict[str, Any], kind: str, text: str, ids: list[int]) -> None:
    assert shipped[kind](text).input_ids == ids


def test_sizes_and_padding(shipped: dict[str, Any]) -> None:
    assert {kind: (len(each), each.pad_token_id) for kind, each in shipped.items()} == {
        "t5": (32_100, 0),
        "qwen": (151_669, 151_643),
        "tekken": (131_072, 11),
    }
    padded = shipped["t5"]("a cat", padding="max_length", max_length=6, return_tensors="pt")
    assert padded.input_ids.tolist() == [[3, 9, 1712, 1, 0, 0]]
    assert padded.attention_mask.tolist() == [[1, 1, 1, 1, 0, 0]]


def test_text_survives(shipped: dict[str, Any]) -> None:
    text = "Naïve “quotes” — 日本語 🦊 1234\n\tend"
    for kind in ("qwen", "tekken"):
        tokenizer = shipped[kind]
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def _message(*fields: tuple[int, Any]) -> bytes:
    """A protobuf message: ints as varints, floats as four bytes, text and bytes with their lengths."""
    out = b""
    for number, value in fields:
        if isinstance(value, float):
            out += bytes([number << 3 | 5]) + struct.pack("<f", value)
        elif isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _sentence_pieces(kind: int, pieces: Sequence[tuple[str, float, int]], *, prefixed: int) -> bytes:
    entries = [(1, _message((1, text), (2, score), (3, sort))) for text, score, sort in pieces]
    return _message(*entries, (2, _message((3, kind), (40, 2), (41, 1), (42, 0))), (3, _message((3, prefixed))))


MARKS = [("</s>", 0.0, 3), ("<s>", 0.0, 3), ("<unk>", 0.0, 2)]
BYTES = [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
BPE = _sentence_pieces(
    2,
    [*MARKS, *BYTES, ("▁c", -0.0, 1), ("▁ca", -1.0, 1), ("▁cat", -2.0, 1), ("at", -3.0, 1), ("▁▁", -9.0, 4)]
    + [(letter, -4.0 - at, 1) for at, letter in enumerate("▁cat")],
    prefixed=0,
)
UNIGRAM = _sentence_pieces(
    1, [*MARKS, ("▁a", -1.0, 1), ("▁cat", -2.0, 1), ("▁c", -2.5, 1), ("at", -2.5, 1), ("▁", -3.0, 1)], prefixed=1
)


def _encoder(folder: Path, name: str = "gemma.safetensors", **tensors: bytes) -> Checkpoint:
    held = {key: torch.frombuffer(bytearray(data), dtype=torch.uint8) for key, data in tensors.items()}
    save_file({"model.norm.weight": torch.ones(2), **held}, folder / name)
    return Checkpoint(folder / name)


def test_a_text_encoder_may_carry_its_sentence_pieces(tmp_path: Path) -> None:
    gemma = own_tokenizer(_encoder(tmp_path, spiece_model=BPE), start=True)
    known = gemma.get_vocab()
    assert gemma.convert_ids_to_tokens(gemma(" cat  cat").input_ids) == ["<s>", "▁cat", "▁▁", "c", "at"]
    assert gemma("é").input_ids == [1, known["<0xC3>"], known["<0xA9>"]]
    umt5 = own_tokenizer(_encoder(tmp_path, spiece_model=UNIGRAM), end=True)
    assert umt5.convert_ids_to_tokens(umt5("a  cat ").input_ids) == ["▁a", "▁cat", "</s>"]


def test_a_text_encoder_may_carry_its_tekken(tmp_path: Path, shipped: dict[str, Any]) -> None:
    raw = [bytes([byte]) for byte in range(256)] + [b"ca", b"at", b"cat"]
    parsed = {
        "config": {
            "pattern": TEKKEN_PATTERN,
            "default_vocab_size": TEKKEN_FIRST_TOKEN + len(raw),
            "default_num_special_tokens": TEKKEN_FIRST_TOKEN,
        },
        "vocab": [{"rank": at, "token_bytes": base64.b64encode(token).decode()} for at, token in enumerate(raw)],
        "special_tokens": [{"rank": at, "token_str": mark} for at, mark in enumerate(TEKKEN_MARKS)],
    }
    own = own_tokenizer(_encoder(tmp_path, tekken_model=json.dumps(parsed).encode()))
    assert own("[INST]cat\n").input_ids == [1, 3, 1258, 1010]


@pytest.mark.parametrize("place", ["gemma.tokenizer.model", "gemma/tokenizer.model", "tokenizer.model"])
def test_a_tokenizer_may_lie_beside(tmp_path: Path, place: str) -> None:
    encoder = _encoder(tmp_path)
    with pytest.raises(BadInput, match=r"needs its tokenizer.*gemma\.tokenizer\.json"):
        own_tokenizer(encoder)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(UNIGRAM)
    assert own_tokenizer(encoder)("cat").input_ids == [4]


def test_a_tokenizer_for_nobody_in_particular_is_not_taken(tmp_path: Path) -> None:
    first = _encoder(tmp_path)
    _encoder(tmp_path, "other.safetensors")
    (tmp_path / "tokenizer.model").write_bytes(UNIGRAM)
    assert tokenizer_beside(first.path) is None


def test_the_library_s_own_format(tmp_path: Path, shipped: dict[str, Any]) -> None:
    encoder = _encoder(tmp_path)
    (tmp_path / "gemma.tokenizer.json").write_text(shipped["t5"].backend_tokenizer.to_str())
    assert own_tokenizer(encoder)("a photo of a cat").input_ids == [3, 9, 1202, 13, 3, 9, 1712, 1]


@pytest.mark.parametrize(
    ("name", "data"),
    [("model", b"\x0a\xff"), ("model", b""), ("model", BPE[:-3]), ("json", b"nonsense"), ("json", b"{}")],
)
def test_a_damaged_file_is_a_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    encoder = _encoder(tmp_path)
    (tmp_path / f"gemma.tokenizer.{name}").write_bytes(data)
    with pytest.raises(BadInput, match=r"tokenizer file .*\."):
        own_tokenizer(encoder)
