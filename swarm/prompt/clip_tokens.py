"""Tokens as CLIP counts them, in plain Python: what the token counter shows while a prompt is typed.

The numbers are those of the encoder (byte-level BPE over 49 408 tokens), without its start and end marks. The data file
is the encoder's own, which lies with the engine; it is read when the first text is counted.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from swarm.base.accents import composed

MERGES_FILE = Path(__file__).resolve().parents[1] / "engine" / "words" / "vocab" / "clip_merges.txt.gz"
END_OF_WORD = "</w>"
_LONGEST_WORD = 256
_CONTRACTION = re.compile("'s|'t|'re|'ve|'m|'ll|'d")


@dataclass(frozen=True)
class Token:
    """One entry of the vocabulary: its number and its text, which ends in `</w>` at the end of a word."""

    id: int
    text: str


@dataclass(frozen=True)
class _Vocabulary:
    """`ranks`: which pair of symbols merges first. `letters`: the printable letter of each byte."""

    ids: Mapping[str, int]
    ranks: Mapping[tuple[str, str], int]
    letters: Sequence[str]


def clip_tokens(text: str) -> list[Token]:
    """The tokens of a text, in order. Blocking for the first text; about a second for a million letters."""
    normal = composed(text).lower()
    return [token for piece in _pieces(normal) for token in _tokens(piece)]


def _pieces(text: str) -> Iterator[str]:
    """Contractions, runs of letters, single number characters, and runs of anything else that is no blank."""
    start = 0
    while start < len(text):
        found = _CONTRACTION.match(text, start)
        kind = _kind(text[start])
        if found is not None:
            end = found.end()
        else:
            end = start + 1
            while kind not in ("number", "blank") and end < len(text) and _kind(text[end]) == kind:
                end += 1
        if kind != "blank":
            yield text[start:end]
        start = end


def _kind(letter: str) -> str:
    if letter.isspace():
        return "blank"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(letter)[0], "other")


@lru_cache(maxsize=8192)
def _tokens(piece: str) -> tuple[Token, ...]:
    """The tokens of one piece. A piece of absurd length is cut, so that merging stays quick."""
    if len(piece) > _LONGEST_WORD:
        parts = [piece[at : at + _LONGEST_WORD] for at in range(0, len(piece), _LONGEST_WORD)]
        return tuple(token for part in parts for token in _tokens(part))
    known = _vocabulary()
    symbols = [known.letters[byte] for byte in piece.encode("utf-8", "replace")]
    symbols[-1] += END_OF_WORD
    while len(symbols) > 1:
        pairs = [(known.ranks.get(pair, len(known.ranks)), pair) for pair in pairwise(symbols)]
        rank, pair = min(pairs)
        if rank == len(known.ranks):
            break
        symbols = _merged(symbols, pair)
    return tuple(Token(known.ids[symbol], symbol) for symbol in symbols)


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Every occurrence of the pair, from the left, as one symbol."""
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            # A symbol that was just made cannot be the first half of the same pair: it is longer.
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


@lru_cache(maxsize=1)
def _vocabulary() -> _Vocabulary:
    lines = gzip.decompress(MERGES_FILE.read_bytes()).decode().splitlines()
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letter_of = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    singles = [letter_of[byte] for byte in (*printable, *others)]
    tokens = [*singles, *(letter + END_OF_WORD for letter in singles), *(first + second for first, second in merges)]
    return _Vocabulary(
        ids={token: number for number, token in enumerate(tokens)},
        ranks={pair: rank for rank, pair in enumerate(merges)},
        letters=[letter_of[byte] for byte in range(256)],
    )
