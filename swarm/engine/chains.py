"""How networks are made of a first part, many between and a last: what step caching has to know of a family.

Parts are places in the network: the dictionary that holds a module, and the name it has there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch

from swarm.features.step_caching import TRANSFORMERS, UNETS, Patience
from swarm.jobs.stage import Conditioning

Place: TypeAlias = tuple[dict[str, Any], str]
Given: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of a call: by position, by name."""


class AnyRow(Protocol):
    """What is asked of a row here."""

    @property
    def x(self) -> torch.Tensor: ...

    @property
    def conditioning(self) -> Conditioning: ...


Rows: TypeAlias = Sequence[AnyRow]


@dataclass(kw_only=True, eq=False)
class Memory:
    """Of one row of a walk. `told`: what the row hears; with other words nothing is known. `first`: what the first
    part added when the rest was last computed; `rest`: what the rest then came to. `in_a_row`: calls since then."""

    level: str
    told: Conditioning
    first: torch.Tensor | None = None
    rest: torch.Tensor | None = None
    in_a_row: int = 0


class StandIn:
    """In a module's place while a call runs; whatever else is asked of it, the module answers."""

    def __init__(self, module: Any, act: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        self._module = module
        self._act = act

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._act(self._module, given, named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Chain(Protocol):
    """A network's parts, and how to read and replace what goes from one to the next. Tensors in lists are one per
    row."""

    patience: Mapping[str, Patience]
    """How much each level may leave out."""

    def places(self, network: torch.nn.Module) -> tuple[Place, list[Place], Place]:
        """The first part, those between, and the one that reads what they made."""

    def added(self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any], answer: Any) -> list[torch.Tensor]:
        """What the first part made of its input."""

    def saw(self, module: Any, answer: Any) -> None:
        """A part between has answered."""

    def passed_on(self, module: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """What a part between answers that adds nothing."""

    def rest(self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any]) -> list[torch.Tensor]:
        """What the parts between came to, by what the last part was given."""

    def put_back(
        self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any], rest: Sequence[torch.Tensor]
    ) -> Given:
        """What the last part is given in place of what was passed on to it."""


class Blocks:
    """A transformer: lists of equal blocks, one behind the other, that hand on a stream of tokens (n, tokens, width),
    alone or behind the stream of the prompt. `last`: the path of the module that reads what they made. `picture`:
    where in the stream a row's own tokens are, for families whose stream differs from call to call.

    What the rest came to is what it added to the stream.
    """

    patience = TRANSFORMERS

    def __init__(
        self, lists: Sequence[str], last: str = "norm_out", picture: Callable[[Any], slice] = lambda _row: slice(None)
    ) -> None:
        self._lists = lists
        self._last = last
        self._picture = picture
        self._of_two: set[type] = set()
        self._made: list[torch.Tensor] = []

    def places(self, network: torch.nn.Module) -> tuple[Place, list[Place], Place]:
        holders = [network.get_submodule(name)._modules for name in self._lists]
        first, *between = [(holder, name) for holder in holders for name in holder]
        parent, _, name = self._last.rpartition(".")
        return first, between, (network.get_submodule(parent)._modules, name)

    def added(self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any], answer: Any) -> list[torch.Tensor]:
        before, after = stream(given, named), answer[1] if isinstance(answer, tuple) else answer
        places = [(number, self._picture(row)) for number, row in enumerate(rows)]
        # Copies: compiled blocks may answer with the same memory again.
        self._made = [after[place].clone() for place in places]
        return [made - before[place] for made, place in zip(self._made, places, strict=True)]

    def saw(self, module: Any, answer: Any) -> None:
        if isinstance(answer, tuple):
            self._of_two.add(type(module))

    def passed_on(self, module: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        hidden = stream(given, named)
        if type(module) not in self._of_two:
            return hidden
        return named["encoder_hidden_states"] if "encoder_hidden_states" in named else given[1], hidden

    def rest(self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any]) -> list[torch.Tensor]:
        hidden, made, self._made = stream(given, named), self._made, []
        pairs = zip(rows, made, strict=True)
        return [hidden[number, self._picture(row)] - before for number, (row, before) in enumerate(pairs)]

    def put_back(
        self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any], rest: Sequence[torch.Tensor]
    ) -> Given:
        hidden, self._made = stream(given, named).clone(), []
        for number, (row, each) in enumerate(zip(rows, rest, strict=True)):
            hidden[number, self._picture(row)] += each
        return _with_stream(hidden, given, named)


class Levels:
    """A UNet: its first level down is the first part, its last level up the last, the deeper levels are between.

    What the rest came to is what the last level up is given from below.
    """

    patience = UNETS

    def __init__(self) -> None:
        self._kept: dict[int, int] = {}

    def places(self, network: torch.nn.Module) -> tuple[Place, list[Place], Place]:
        down, up = (network.get_submodule(name)._modules for name in ("down_blocks", "up_blocks"))
        first, *below = [(down, name) for name in down]
        *above, last = [(up, name) for name in up]
        return first, [*below, (network._modules, "mid_block"), *above], last

    def added(self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any], answer: Any) -> list[torch.Tensor]:
        before, after = stream(given, named), answer[1][0]
        if before.shape != after.shape:
            return [each.clone() for each in after]
        return [each - own for each, own in zip(after, before, strict=True)]

    def saw(self, module: Any, answer: Any) -> None:
        if isinstance(answer, tuple):
            self._kept[id(module)] = len(answer[1])

    def passed_on(self, module: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        hidden = stream(given, named)
        kept = self._kept.get(id(module))
        return hidden if kept is None else (hidden, (hidden,) * kept)

    def rest(self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any]) -> list[torch.Tensor]:
        return [each.clone() for each in stream(given, named).split(1)]

    def put_back(
        self, rows: Rows, given: tuple[Any, ...], named: Mapping[str, Any], rest: Sequence[torch.Tensor]
    ) -> Given:
        return _with_stream(torch.cat(list(rest)), given, named)


def blocks(
    *lists: str, last: str = "norm_out", picture: Callable[[Any], slice] = lambda _row: slice(None)
) -> Callable[[], Blocks]:
    """What an adapter says of a transformer: see Blocks."""
    return lambda: Blocks(lists, last, picture)


def stream(given: tuple[Any, ...], named: Mapping[str, Any]) -> torch.Tensor:
    """What a part is given to work on: one entry per row, first."""
    hidden: torch.Tensor = named["hidden_states"] if "hidden_states" in named else given[0]
    return hidden


def _with_stream(hidden: torch.Tensor, given: tuple[Any, ...], named: Mapping[str, Any]) -> Given:
    if "hidden_states" in named:
        return given, {**named, "hidden_states": hidden}
    return (hidden, *given[1:]), dict(named)
