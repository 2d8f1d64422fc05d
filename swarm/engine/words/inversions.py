"""Textual inversions: learned words, each one or more token vectors for a text encoder, read from their files.

A file holds `emb_params`, or one tensor per encoder (`clip_l`, `clip_g`), or a single tensor of any name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from swarm.base.errors import BadInput
from swarm.engine.components import TextOptions
from swarm.engine.files.checkpoint import Checkpoint
from swarm.jobs.job import ModelFile

_EMBED = re.compile(r"<embed:([^<>]*)>")
_MARK = "\ue000"
_MARKED = re.compile(f"{_MARK}([0-9]+){_MARK}")
_SLOTS = ("clip_l", "clip_g")
_PLAIN = "emb_params"


class Placed(NamedTuple):
    """One vector of an inversion in the place of a token."""

    file: ModelFile
    row: int


Token = int | Placed


def without_inversions(text: str) -> str:
    """A prompt for encoders that know no inversions."""
    return _EMBED.sub("", text)


def marked(text: str, options: TextOptions) -> tuple[str, list[ModelFile]]:
    """A prompt with every inversion it names replaced by a mark that no other syntax touches, and their files in the
    order of their numbers. Names without a file are left out."""
    known, named = dict(options.embeddings), []

    def mark(match: re.Match[str]) -> str:
        file = known.get(match[1])
        if file is None:
            return ""
        named.append(file)
        return f"{_MARK}{len(named) - 1}{_MARK}"

    return _EMBED.sub(mark, text.replace(_MARK, "")), named


def pieces(text: str, named: Sequence[ModelFile]) -> Iterator[str | list[Placed]]:
    """A marked text's pieces in order: plain text, and the vectors of its inversions. Raises BadInput."""
    for number, piece in enumerate(_MARKED.split(text)):
        if number % 2 == 0:
            yield piece
        else:
            file = named[int(piece)]
            yield [Placed(file, row) for row in range(_length(file))]


def _length(file: ModelFile) -> int:
    lengths = {len(tensor) for tensor in _read(file).values()}
    if len(lengths) != 1:
        raise BadInput(f"The embedding '{file.name}' has different numbers of vectors for its text encoders.")
    return lengths.pop()


@lru_cache(maxsize=64)
def _read(file: ModelFile) -> Mapping[str, torch.Tensor]:
    """Vectors (n, width) by slot, "" for whichever encoder has their width. Raises BadInput."""
    checkpoint = Checkpoint(file.path)
    names = [name for name in _SLOTS if name in checkpoint.shapes]
    if names:
        return {name: _flat(file, checkpoint.tensor(name)) for name in names}
    if _PLAIN in checkpoint.shapes:
        return {"": _flat(file, checkpoint.tensor(_PLAIN))}
    if len(checkpoint.shapes) == 1:
        return {"": _flat(file, checkpoint.tensor(next(iter(checkpoint.shapes))))}
    raise BadInput(f"The file '{file.name}' holds no embedding (textual inversion).")


def _flat(file: ModelFile, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.ndim not in (1, 2):
        raise BadInput(f"The file '{file.name}' holds no embedding (textual inversion).")
    return tensor.float().reshape(-1, tensor.shape[-1])


def vector(placed: Placed, slot: str, width: int) -> torch.Tensor:
    """A vector for the text encoder of a slot. Raises BadInput when the inversion was made for another."""
    read = _read(placed.file)
    found = read.get(slot, read.get(""))
    if found is None or found.shape[-1] != width:
        sizes = ", ".join(str(tensor.shape[-1]) for tensor in read.values())
        raise BadInput(
            f"The embedding '{placed.file.name}' was made for another kind of model: its vectors have {sizes} numbers, "
            f"this model's text encoder ({slot}) wants {width}."
        )
    return found[placed.row]


def in_place(model: Any, rows: Sequence[Sequence[Token]], slot: str) -> AbstractContextManager[None]:
    """While it is entered, a CLIP text model that is called with `rows` (its inversions as any token) reads the
    inversions' vectors; the model is left as it was. Raises BadInput."""
    places = [(number, at, token) for number, row in enumerate(rows) for at, token in enumerate(row)]
    found = [(number, at, token) for number, at, token in places if isinstance(token, Placed)]
    if not found:
        return nullcontext()
    table = getattr(model, "text_model", model).embeddings.token_embedding
    width = int(table.weight.shape[-1])
    vectors = torch.stack([vector(token, slot, width) for _, _, token in found])
    lines, columns = [number for number, _, _ in found], [at for _, at, _ in found]

    def replace(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        replaced = output.clone()
        replaced[lines, columns] = vectors.to(output)
        return replaced

    return _hooked(table, replace)


@contextmanager
def _hooked(module: torch.nn.Module, hook: Any) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
