"""SentencePiece model files, read by hand (they are one protobuf message), as tokenizers.

UMT5, Gemma and LLaMA come with such files (`spiece.model`, `tokenizer.model`), or with their bytes inside the text
encoder's own file. Knows the format, and nothing about models.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swarm.base.errors import BadInput
from swarm.engine.words.tokenizer import every_merge

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_CONTROL, _USER_DEFINED, _BYTE = 3, 4, 6
_BPE = 2
_SPACE = "▁"
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One entry of the vocabulary. `kind`: 1 usual, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 a byte."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, kw_only=True)
class SentencePieces:
    """A model file. `charsmap`: the compiled table of its normalizer. `prefixed`: a space is put before every text.
    `trimmed`: runs of spaces count as one, those around a text as none. The ids are -1 where the model has none."""

    pieces: Sequence[Piece]
    is_bpe: bool
    charsmap: bytes
    prefixed: bool
    trimmed: bool
    unk: int
    bos: int
    eos: int
    pad: int

    def text(self, number: int) -> str | None:
        """The piece of a number; None for -1 and what lies outside."""
        return self.pieces[number].text if 0 <= number < len(self.pieces) else None


def read_sentence_pieces(data: bytes) -> SentencePieces:
    """The model in a file's bytes. Raises BadInput when they are something else."""
    pieces: list[Piece] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    try:
        for field, value in _fields(data):
            if field == 1:
                entry = dict(_fields(value))
                score = struct.unpack("<f", entry.get(2, b"\0\0\0\0"))[0]
                pieces.append(Piece(text=entry[1].decode(), score=score, kind=entry.get(3, 1)))
            elif field == 2:
                trainer = dict(_fields(value))
            elif field == 3:
                normalizer = dict(_fields(value))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error):
        pieces = []
    if not pieces:
        raise BadInput("The tokenizer file is no SentencePiece model; use the 'tokenizer.model' the text encoder had.")
    ids = {field: trainer.get(field, usual) for field, usual in ((40, 0), (41, 1), (42, 2), (43, -1))}
    unk, bos, eos, pad = (number if number < 1 << 31 else -1 for number in ids.values())
    return SentencePieces(
        pieces=pieces,
        is_bpe=trainer.get(3, 1) == _BPE,
        charsmap=normalizer.get(2, b""),
        prefixed=bool(normalizer.get(3, 1)),
        trimmed=bool(normalizer.get(4, 1)),
        unk=unk,
        bos=bos,
        eos=eos,
        pad=pad,
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a protobuf message: ints for varints, bytes for everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _COUNTED:
            length, at = _varint(data, at)
        else:
            length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind]
        if at + length > len(data):
            raise ValueError("the message ends early")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a number without end")


def sentence_tokenizer(model: SentencePieces, *, start: bool, end: bool) -> PreTrainedTokenizerFast:
    """A tokenizer that reads as the model says. `start`, `end`: put its begin and end marks around every text."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    backend = _bpe(model) if model.is_bpe else _unigram(model)
    special = [piece.text for piece in model.pieces if piece.kind == _CONTROL]
    words = [piece.text for piece in model.pieces if piece.kind == _USER_DEFINED]
    backend.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in special])
    # Words are found in the text as pieces see it, so that runs of spaces can be words; a prefix would join them.
    seen = model.is_bpe and not model.prefixed
    backend.add_tokens([AddedToken(word, special=False, normalized=seen) for word in words])
    first, last = (model.text(model.bos) if start else None), (model.text(model.eos) if end else None)
    _mark(backend, first, last)
    names = {
        "unk_token": model.text(model.unk),
        "bos_token": model.text(model.bos),
        "eos_token": model.text(model.eos),
        "pad_token": model.text(model.pad) or model.text(model.eos),
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{name: text for name, text in names.items() if text is not None}
    )


def _mark(backend: Tokenizer, first: str | None, last: str | None) -> None:
    from tokenizers import processors

    marks = [mark for mark in (first, last) if mark is not None]
    if marks:
        template = [first, "$A", last]
        backend.post_processor = processors.TemplateProcessing(
            single=" ".join(part for part in template if part is not None),
            special_tokens=[(mark, backend.token_to_id(mark)) for mark in marks],
        )


def _unigram(model: SentencePieces) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    scores = [(piece.text, piece.score) for piece in model.pieces]
    has_bytes = any(piece.kind == _BYTE for piece in model.pieces)
    backend = Tokenizer(models.Unigram(scores, unk_id=max(model.unk, 0), byte_fallback=has_bytes))
    steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    if model.trimmed:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement=_SPACE, prepend_scheme="always" if model.prefixed else "never"
    )
    return backend


def _bpe(model: SentencePieces) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers

    vocabulary = {piece.text: number for number, piece in enumerate(model.pieces)}
    whole = [piece for piece in model.pieces if piece.kind not in (_CONTROL, _BYTE)]
    ranked = [piece.text for piece in sorted(whole, key=lambda piece: -piece.score)]
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=list(every_merge(ranked, vocabulary)),
            unk_token=model.text(model.unk),
            fuse_unk=True,
            byte_fallback=any(piece.kind == _BYTE for piece in model.pieces),
        )
    )
    steps: list[Any] = [normalizers.Prepend(_SPACE)] if model.prefixed else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", _SPACE)])
    return backend
