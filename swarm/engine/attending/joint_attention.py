"""Attention of a prompt's and a picture's tokens together, led away from other words (Chen et al. 2025, 2505.21179).

What the picture's tokens take from attention is led before it is projected. Both prompts' pictures go on with what came
of it, as they are one; their words go their own ways. Families say by `Adapter(attention=…)` where that happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from swarm.engine.attending.normalized_attention import normalized
from swarm.engine.attending.spots import Spot, Spots
from swarm.engine.chains import StandIn
from swarm.engine.components import Components, Denoiser, Row, Sizes
from swarm.engine.device import Device
from swarm.engine.once import Numbers
from swarm.features.normalized_attention import Away, away_in

Pair: TypeAlias = tuple[int, int]
"""Positions in a call of the line that is led, and of the one it is led away from."""


class LedDenoiser:
    """A family's denoiser, which also answers rows whose attention is led."""

    def __init__(self, plain: Denoiser, network: Any, spots: Spots, device: Device) -> None:
        self._plain = plain
        self._network = network
        self._spots = spots
        self._numbers = Numbers(device)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return self._plain.size_numbers(width, height, enhanced=enhanced)

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return self._plain.together(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        if rows[0].away is None:
            return self._plain(rows)
        lines, pairs, said = paired(rows)
        told = self._numbers((each.scale, each.alpha, each.tau) for each in said)
        words = max(int(line.conditioning.tokens.shape[1]) for line in lines)
        with _standing_in(self._spots(self._network, lines[0], words), Leading(pairs, told)):
            return self._plain(lines)[: len(rows)]


def denoiser_for(components: Components, device: Device) -> Denoiser:
    """The denoiser of loaded components, which can be led where its family says how."""
    plain, spots = components.adapter.denoiser(components, device), components.adapter.attention
    return plain if spots is None else LedDenoiser(plain, components.denoiser, spots, device)


def paired(rows: Sequence[Row]) -> tuple[list[Row], list[Pair], list[Away]]:
    """The lines of a call: `rows`, then what they are paired with and is not among them; the pairs, and what is said of
    each of these."""
    lines = list(rows)
    told = [away for row in rows if (away := away_in(row.conditioning)) is not None]
    places = {(id(away.pair), away.turned): place for place, away in enumerate(told)}
    pairs: dict[int, Pair] = {}
    said: dict[int, Away] = {}
    for place, (row, away) in enumerate(zip(rows, told, strict=True)):
        other = places.get((id(away.pair), not away.turned))
        if other is None:
            assert row.away is not None, "a row that is led has a partner"
            other = len(lines)
            lines.append(row.away)
        pairs[id(away.pair)] = (other, place) if away.turned else (place, other)
        said[id(away.pair)] = away
    return lines, list(pairs.values()), list(said.values())


class Leading:
    """Leads the picture's part of what attention gives."""

    def __init__(self, pairs: Sequence[Pair], numbers: torch.Tensor) -> None:
        """`numbers`: scale, alpha and tau of each pair, (n, 3)."""
        self._pairs = pairs
        self._numbers = numbers

    def __call__(self, made: torch.Tensor, spot: Spot) -> torch.Tensor:
        """`made`: (lines, tokens, channels)."""
        part = made[:, spot.picture, : spot.width]
        toward, away = (torch.stack([part[pair[side]] for pair in self._pairs]) for side in (0, 1))
        scale, alpha, tau = self._numbers.to(made)[:, :, None, None].unbind(1)
        led = normalized(toward, away, scale, alpha, tau)
        made = made.clone()
        for (one, other), result in zip(self._pairs, led, strict=True):
            made[one, spot.picture, : spot.width] = result
            made[other, spot.picture, : spot.width] = result
        return made


@contextmanager
def _standing_in(spots: Sequence[Spot], lead: Callable[[torch.Tensor, Spot], torch.Tensor]) -> Iterator[None]:
    kept = [(spot, spot.holder[spot.name]) for spot in spots]
    for spot, module in kept:
        spot.holder[spot.name] = StandIn(module, _act(spot, lead))
    try:
        yield
    finally:
        for spot, module in kept:
            spot.holder[spot.name] = module


def _act(spot: Spot, lead: Callable[[torch.Tensor, Spot], torch.Tensor]) -> Callable[..., Any]:
    def act(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if spot.answers:
            return lead(module(*given, **named), spot)
        return module(lead(given[0], spot), *given[1:], **named)

    return act
