"""Self-attention that is led away from other words (normalized attention guidance, Chen et al. 2025, 2505.21179)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from swarm.engine.attending.self_attention import self_attention
from swarm.engine.components import Row
from swarm.engine.once import Numbers
from swarm.features.normalized_attention import away_in


def with_negatives(rows: Sequence[Row]) -> list[Row]:
    """`rows`, then for each of them that is led away the negative prompt's row."""
    return [*rows, *(row.away for row in rows if row.away is not None)]


@contextmanager
def led_away(unet: Any, rows: Sequence[Row], numbers: Numbers) -> Iterator[None]:
    """While it is entered, the UNet's self-attention keeps away from what `rows` say; all of them say so or none. The
    calls are of `with_negatives(rows)`, or of several such batches one behind the other."""
    if rows[0].away is None:
        yield
        return
    said = [away for row in rows if (away := away_in(row.conditioning)) is not None]
    told = numbers((each.scale, each.alpha, each.tau) for each in said)
    with self_attention(unet, lambda own: LeadingAway(own, told)):
        yield


class LeadingAway:
    """Attention as it was, whose answer for the prompts' rows is led away from that for the negative prompts'."""

    def __init__(self, before: Any, numbers: torch.Tensor) -> None:
        """`numbers`: scale, alpha and tau of each row that is led, (n, 3)."""
        self._before = before
        self._numbers = numbers

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        made: torch.Tensor = self._before(attention, hidden_states, *more, **named)
        scale, alpha, tau = self._numbers.to(made)[:, :, None, None].unbind(1)
        parts: list[torch.Tensor] = []
        for part in made.split(2 * len(self._numbers)):
            toward, away = part.chunk(2)
            parts += [normalized(toward, away, scale, alpha, tau), away]
        return torch.cat(parts)


def normalized(
    toward: torch.Tensor, away: torch.Tensor, scale: torch.Tensor, alpha: torch.Tensor, tau: torch.Tensor
) -> torch.Tensor:
    """Attention (n, places, channels) led from `away` past `toward`, at each place at most `tau` times as strong as
    that, and mixed with it."""
    guided = toward * scale - away * (scale - 1.0)
    own, norm = (each.float().norm(p=1, dim=-1, keepdim=True).clamp(min=1e-6) for each in (toward, guided))
    guided = guided * (own * tau.float() / norm).clamp(max=1.0).to(guided)
    return guided * alpha + toward * (1.0 - alpha)
