"""The standard CLIP tokenizer, built from the vocabulary that ships with Swarm. Nothing is downloaded.

Stable Diffusion 1, 2, XL and 3 and Flux all read prompts through these 49 408 tokens.
Knows the vocabulary, and nothing about models; the libraries are imported when the first tokenizer is asked for.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

MERGES_FILE = Path(__file__).parent / "vocab" / "clip_merges.txt.gz"
MAX_TOKENS = 77
START = "<|startoftext|>"
END = "<|endoftext|>"


def clip_tokenizer() -> CLIPTokenizer:
    """A new tokenizer, for its caller alone: tokenizers may be changed, by added tokens for one."""
    from transformers import CLIPTokenizer

    merges = clip_merges()
    return CLIPTokenizer(
        vocab=dict(clip_vocabulary()),
        merges=list(merges),
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_TOKENS,
    )


@cache
def clip_merges() -> tuple[tuple[str, str], ...]:
    """The pairs of symbols that merge into one, most frequent first."""
    lines = gzip.decompress(MERGES_FILE.read_bytes()).decode().splitlines()
    return tuple((first, second) for first, second in (line.split() for line in lines))


@cache
def clip_vocabulary() -> dict[str, int]:
    """Every token and its number: single bytes, bytes that end a word, the merges, and the two marks."""
    letters = byte_letters()
    endings = [letter + "</w>" for letter in letters]
    merged = [first + second for first, second in clip_merges()]
    return {token: number for number, token in enumerate([*letters, *endings, *merged, START, END])}


def byte_letters() -> list[str]:
    """A printable letter for each of the 256 bytes, in the order CLIP numbers them.

    Printable bytes stand for themselves and come first; the others borrow letters from U+0100 upwards.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    borrowed = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(borrowed)]
