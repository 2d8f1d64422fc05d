"""The tokenizers whose vocabularies ship with Swarm. Nothing is downloaded.

CLIP (Stable Diffusion, Flux), T5 v1.1 (Stable Diffusion 3, Flux, Chroma, PixArt), Qwen 2.5 and 3 (Qwen-Image, Z-Image,
Flux.2 Klein) and Mistral's Tekken (Flux.2 Dev); sources and licences in vocab/LICENSES.md. Other vocabularies come with
the text encoder: see own_tokenizer.py.
Knows the vocabularies, and nothing about models; the libraries are imported when the first tokenizer is asked for.
"""

from __future__ import annotations

import base64
import gzip
import json
import lzma
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer, T5Tokenizer

_FOLDER = Path(__file__).parent / "vocab"
MERGES_FILE = _FOLDER / "clip_merges.txt.gz"
MAX_TOKENS = 77
START = "<|startoftext|>"
END = "<|endoftext|>"
T5_SENTINELS = 100
QWEN_FIRST_MARK = 151_643
QWEN_MARKS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
QWEN_WORDS = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
)
TEKKEN_MARKS = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    *("[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
TEKKEN_FIRST_TOKEN = 1000
TEKKEN_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


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


def t5_tokenizer() -> T5Tokenizer:
    """A new T5 v1.1 tokenizer: 32 100 pieces, ends every text with `</s>` (1), pads with 0 on the right."""
    from transformers import T5Tokenizer

    read = json.loads(_unpacked("t5.json.xz"))
    pieces = [*zip(read["pieces"], read["scores"], strict=True)]
    pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(T5_SENTINELS))]
    charsmap = base64.b64decode(read["charsmap"])
    return T5Tokenizer(vocab=pieces, _spm_precompiled_charsmap=charsmap, extra_ids=T5_SENTINELS, model_max_length=512)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """A new tokenizer of Qwen 2.5 and 3: 151 669 tokens, adds no marks to a text, pads with <|endoftext|> (151 643)."""
    from transformers import AddedToken, Qwen2Tokenizer

    merges = qwen_merges()
    tokens = [*byte_letters(), *(first + second for first, second in merges)]
    tokenizer = Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, merges=list(merges), model_max_length=131_072
    )
    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in QWEN_MARKS])
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in QWEN_WORDS])
    return tokenizer


@cache
def qwen_merges() -> tuple[tuple[str, str], ...]:
    """The pairs of symbols that merge into one, most frequent first; each makes the next token."""
    lines = _unpacked("qwen_merges.txt.xz").splitlines()
    return tuple((first, second) for first, second in (line.split(" ") for line in lines))


def tekken_tokenizer() -> PreTrainedTokenizerFast:
    """A new tokenizer of Mistral's Tekken: 131 072 tokens, starts texts with `<s>` (1), pads on the left with 11."""
    letters = letter_of_byte()
    singles = [letters[byte] for byte in range(256)]
    return tekken_from([*singles, *_unpacked("tekken.txt.xz").splitlines()], TEKKEN_MARKS, TEKKEN_PATTERN)


def tekken_from(tokens: Sequence[str], marks: Sequence[str], pattern: str) -> PreTrainedTokenizerFast:
    """A tokenizer in Tekken's way. `tokens`: in byte letters, by rank. `marks`: the first of 1000 special tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = [*marks, *(f"<SPECIAL_{number}>" for number in range(len(marks), TEKKEN_FIRST_TOKEN))]
    vocabulary = {token: number for number, token in enumerate([*special, *tokens])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(every_merge(tokens, vocabulary))))
    backend.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in special])
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=131_072, padding_side="left", **names)


def every_merge(tokens: Sequence[str], vocabulary: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """All the ways to make each token out of two others, in the tokens' order: merging by rank, as tiktoken does."""
    for token in tokens:
        cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [(first, second) for first, second in cuts if first in vocabulary and second in vocabulary]
        yield from sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))


def letter_of_byte() -> dict[int, str]:
    """The printable letter of each byte, by the byte."""
    letters = byte_letters()
    printable = [letter for letter in letters if ord(letter) < 256]
    borrowed = iter(letters[len(printable) :])
    return {byte: chr(byte) if chr(byte) in printable else next(borrowed) for byte in range(256)}


def _unpacked(name: str) -> str:
    return lzma.decompress((_FOLDER / name).read_bytes()).decode()
