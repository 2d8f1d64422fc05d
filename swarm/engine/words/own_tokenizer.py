"""Tokenizers a user brings: inside the text encoder's own file, or as a file beside it.

For vocabularies that cannot ship with Swarm: Gemma (Lumina 2, Sana), UMT5 (Wan), LLaMA (AuraFlow). Single-file text
encoders packed for other programs often carry theirs as a tensor of bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.words.sentencepiece import read_sentence_pieces, sentence_tokenizer
from swarm.engine.words.tokenizer import TEKKEN_FIRST_TOKEN, letter_of_byte, tekken_from

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TENSORS = ("spiece_model", "tekken_model", "tokenizer_json")
"""Names, or ends of names, of byte tensors that hold a tokenizer."""
FILE_NAMES = ("tokenizer.json", "tokenizer.model", "spiece.model", "tekken.json")
_LARGEST_FILE = 64 << 20


def own_tokenizer(encoder: Checkpoint, *, start: bool = False, end: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer that came with a text encoder: in its file, else beside it.

    `start`, `end`: put the begin or end mark around every text where the file itself does not say (SentencePiece).
    Raises BadInput with the names to give the missing file.
    """
    for name in encoder.shapes:
        if name.rpartition(".")[2] in TENSORS:
            return _read(name, encoder.tensor(name).numpy().tobytes(), start, end)
    found = tokenizer_beside(encoder.path, start=start, end=end)
    if found is None:
        raise BadInput(
            f"The text encoder '{encoder.path.name}' needs its tokenizer, which Swarm may not ship. Put the model's "
            f"'tokenizer.json' or 'tokenizer.model' beside it, named '{encoder.path.stem}.tokenizer.json' or "
            f"'{encoder.path.stem}.tokenizer.model'."
        )
    return found


def tokenizer_beside(path: Path, *, start: bool = False, end: bool = False) -> PreTrainedTokenizerFast | None:
    """The tokenizer beside a text encoder's file (named after it, or in a folder of its name, or alone with it) or in a
    text encoder's folder; None without one. Raises BadInput when the file is damaged."""
    for candidate in _candidates(path):
        if candidate.is_file():
            if candidate.stat().st_size > _LARGEST_FILE:
                raise BadInput(f"The tokenizer file '{candidate.name}' is too large to be one.")
            return _read(candidate.name, candidate.read_bytes(), start, end)
    return None


def _candidates(path: Path) -> list[Path]:
    if path.is_dir():
        return [path / name for name in FILE_NAMES]
    named = [path.with_name(f"{path.stem}.{name}") for name in FILE_NAMES]
    inside = [path.with_suffix("") / name for name in FILE_NAMES]
    alone = sum(1 for each in path.parent.glob("*.safetensors")) == 1
    return [*named, *inside, *([path.with_name(name) for name in FILE_NAMES] if alone else [])]


def _read(name: str, data: bytes, start: bool, end: bool) -> PreTrainedTokenizerFast:
    """A tokenizer from bytes, by what they are called."""
    if name.endswith(("spiece_model", ".model")):
        return sentence_tokenizer(read_sentence_pieces(data), start=start, end=end)
    try:
        parsed = json.loads(data)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadInput(f"The tokenizer file '{name}' is no JSON object; get it again.")
    return _tekken(name, parsed) if "config" in parsed and "vocab" in parsed else _plain(name, parsed)


def _tekken(name: str, parsed: dict[str, Any]) -> PreTrainedTokenizerFast:
    """Mistral's own format: byte strings by rank, after the special tokens."""
    letters = letter_of_byte()
    try:
        config = parsed["config"]
        count = int(config["default_vocab_size"]) - int(config["default_num_special_tokens"])
        if int(config["default_num_special_tokens"]) != TEKKEN_FIRST_TOKEN:
            raise ValueError("another number of special tokens")
        raw = [base64.b64decode(entry["token_bytes"]) for entry in parsed["vocab"][:count]]
        special = sorted(parsed.get("special_tokens") or [], key=lambda entry: int(entry["rank"]))
        marks = [str(entry["token_str"]) for entry in special]
        pattern = str(config["pattern"])
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise BadInput(f"The tokenizer file '{name}' is damaged, or of a kind Swarm cannot read.") from None
    tokens = ["".join(letters[byte] for byte in token) for token in raw]
    return tekken_from(tokens, marks, pattern)


def _plain(name: str, parsed: dict[str, Any]) -> PreTrainedTokenizerFast:
    """The format of the tokenizers library. Its marks are found by their usual names."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    model = parsed.get("model")
    if not isinstance(model, dict) or not model.get("vocab"):
        raise BadInput(f"The tokenizer file '{name}' holds no vocabulary; get it again.")
    backend = Tokenizer.from_str(json.dumps(parsed))
    known = backend.get_vocab(with_added_tokens=True)
    usual = {
        "bos_token": ("<bos>", "<s>"),
        "eos_token": ("<eos>", "</s>", "<|im_end|>"),
        "unk_token": ("<unk>",),
        "pad_token": ("<pad>", "<|endoftext|>", "</s>"),
    }
    names = {role: next((text for text in texts if text in known), None) for role, texts in usual.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{role: text for role, text in names.items() if text is not None}
    )
