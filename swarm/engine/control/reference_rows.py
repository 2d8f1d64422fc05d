"""Rows that are only there to be looked at: what a UNet's self-attention reads beside a row's own places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from swarm.diffusion.prediction import input_scale, latent_scale
from swarm.engine.attending.self_attention import self_attention
from swarm.engine.components import Row
from swarm.features.reference_only import LookedAt, looked_at_in


def with_references(rows: Sequence[Row], prediction: str) -> list[Row]:
    """`rows`, then as many again for the first picture each of them looks at, then for the second, and so on.

    A picture is noised to its row's noise level and told what the row is told. All rows look at as many pictures.
    """
    looked = [looked_at_in(row.conditioning) for row in rows]
    first = looked[0]
    if first is None:
        return list(rows)
    pairs = [(row, each) for row, each in zip(rows, looked, strict=True) if each is not None]
    pictures = range(first.latents.shape[0])
    return [*rows, *(replace(row, x=_noised(row, each, n, prediction)) for n in pictures for row, each in pairs)]


def _noised(row: Row, looked: LookedAt, number: int, prediction: str) -> torch.Tensor:
    clean, noise = (each[number : number + 1].to(row.x) for each in (looked.latents, looked.noise))
    x = clean * latent_scale(prediction, row.sigma) + noise * row.sigma
    scaled: torch.Tensor = x * input_scale(prediction, row.sigma)
    return scaled


@contextmanager
def looking(unet: Any, parts: int) -> Iterator[None]:
    """While it is entered, the first of `parts` equal parts of a batch reads the other parts too."""
    if parts == 1:
        yield
        return
    with self_attention(unet, lambda own: Looking(own, parts)):
        yield


class Looking:
    """Self-attention as it was, with more to read for the rows that look."""

    def __init__(self, before: Any, parts: int) -> None:
        self._before = before
        self._parts = parts

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *_more: Any, **_named: Any) -> torch.Tensor:
        looks, *references = hidden_states.chunk(self._parts)
        seen = hidden_states[len(looks) :]
        itself = self._before(attention, seen, encoder_hidden_states=None, attention_mask=None)
        read = torch.cat([looks, *references], dim=1)
        made = self._before(attention, looks, encoder_hidden_states=read, attention_mask=None)
        return torch.cat([made, itself])
