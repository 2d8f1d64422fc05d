"""Where transformers attend to a prompt and a picture together: what a family says to have its attention led."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from swarm.engine.components import Row


@dataclass(frozen=True, kw_only=True, eq=False)
class Spot:
    """A module whose input is what attention gives, not yet projected; with `answers` it is its output.

    `holder`, `name`: the place of the module. `picture`: which tokens are the picture's. `width`: how many of the
    channels are attention's, None for all.
    """

    holder: dict[str, Any]
    name: str
    answers: bool = False
    picture: slice = field(default_factory=lambda: slice(None))
    width: int | None = None


Spots: TypeAlias = Callable[[Any, Row, int], list[Spot]]
"""The spots of a network, for lines like this one whose prompts have so many tokens."""


def two_streams(network: Any, _line: Row, _words: int) -> list[Spot]:
    """Blocks that keep words and picture apart but for attention, and project each by itself."""
    return [Spot(holder=block.attn.to_out._modules, name="0") for block in network.transformer_blocks]


def flux(network: Any, line: Row, words: int) -> list[Spot]:
    """Two streams, then blocks of one: words first, their attention not projected at all."""
    picture = slice(words, None)
    singles = network.single_transformer_blocks
    return [
        *two_streams(network, line, words),
        *(Spot(holder=block._modules, name="attn", answers=True, picture=picture) for block in singles),
    ]


def flux_2(network: Any, line: Row, words: int) -> list[Spot]:
    """Two streams, then blocks of one that project attention together with what else they make."""
    picture = slice(words, None)
    singles = [block.attn for block in network.single_transformer_blocks]
    return [
        *two_streams(network, line, words),
        *(Spot(holder=each._modules, name="to_out", picture=picture, width=each.inner_dim) for each in singles),
    ]
