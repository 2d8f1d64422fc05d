"""Most of a network left out where its first part says that little has changed (features/step_caching.py).

A walk's rows each carry a Memory. While a call runs, stand-ins take the places of the network's parts: the one of the
first part compares what it added with what it added when the rest was last computed; where every row of the call may
leave the rest out the other stand-ins pass on what they are given, and the one at the end puts in what is remembered.
Where only some rows may, the call is begun again, once for those and once for the others, so that nobody's company
decides. What a call learned is written down when it is through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from swarm.base.errors import SwarmError
from swarm.engine.chains import Chain, Memory, StandIn, stream
from swarm.engine.components import Row
from swarm.features.step_caching import OFF, STEP_CACHING
from swarm.jobs.stage import Pass


class Memories:
    """The memories of a walk's rows, by their place in its calls."""

    def __init__(self, level: str) -> None:
        self._level = level
        self._known: list[Memory] = []

    @staticmethod
    def wanted_by(of: Pass) -> Memories | None:
        """Those of a walk whose request asks for step caching."""
        level = of.input.get(STEP_CACHING)
        return None if level == OFF else Memories(level)

    def carried(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, each with its memory."""
        known = self._known
        self._known = [
            known[place] if place < len(known) and known[place].told is row.conditioning else
            Memory(level=self._level, told=row.conditioning)
            for place, row in enumerate(rows)
        ]  # fmt: skip
        return [replace(row, memory=memory) for row, memory in zip(rows, self._known, strict=True)]

    def forget(self) -> None:
        self._known = []


class _Apart(SwarmError):
    """Some rows of a call may leave the rest out, others may not."""

    def __init__(self, leaves_out: Sequence[bool]) -> None:
        super().__init__()
        self.leaves_out = leaves_out


@dataclass(kw_only=True, eq=False)
class _Run:
    """One run through the network. `decided`: whether the rest is left out, None until the first part has spoken.

    `alone`: whether the network sees these rows only; with others beside them (what they look at, or are led away from)
    all is computed, and nothing is learned.
    """

    rows: Sequence[Row]
    decided: bool | None = None
    alone: bool = True
    added: list[torch.Tensor] = field(default_factory=list)
    rest: list[torch.Tensor] = field(default_factory=list)

    def settle(self) -> None:
        """Write down what was learned."""
        for place, memory in enumerate(row.memory for row in self.rows):
            if memory is None:
                continue
            if self.decided:
                memory.in_a_row += 1
            elif self.alone:
                memory.first, memory.rest, memory.in_a_row = self.added[place], self.rest[place], 0
            else:
                memory.first = memory.rest = None


class FirstBlock:
    """Calls one network, with the rest left out where it may be. `computed`, `left_out`: rows so far."""

    def __init__(self, network: torch.nn.Module, chain: Chain) -> None:
        self._network = network
        self._chain = chain
        self.computed = 0
        self.left_out = 0

    def answers(self, call: Callable[[Sequence[Row]], torch.Tensor], rows: Sequence[Row]) -> torch.Tensor:
        """What `call` answers to rows of one entry of `together`."""
        memories = [row.memory for row in rows if row.memory is not None]
        if not memories or rows[0].controls or rows[0].away is not None:
            for memory in memories:
                memory.first = memory.rest = None
            return call(rows)
        try:
            return self._run(call, _Run(rows=rows))
        except _Apart as apart:
            leaves_out = apart.leaves_out
        outputs: dict[int, torch.Tensor] = {}
        for decided in (False, True):
            places = [place for place, leaves in enumerate(leaves_out) if leaves is decided]
            said = self._run(call, _Run(rows=[rows[place] for place in places], decided=decided))
            outputs.update(zip(places, said.split(1), strict=True))
        return torch.cat([outputs[place] for place in range(len(rows))])

    def _run(self, call: Callable[[Sequence[Row]], torch.Tensor], run: _Run) -> torch.Tensor:
        with self._standing_in(run):
            said = call(run.rows)
        run.settle()
        if run.decided:
            self.left_out += len(run.rows)
        else:
            self.computed += len(run.rows)
        return said

    @contextmanager
    def _standing_in(self, run: _Run) -> Iterator[None]:
        """Stand-ins in the network's places while its own forward runs, and only then: others who look at the network
        find it as it is."""
        first, between, last = self._chain.places(self._network)
        acts = [(first, self._act_first(run)), *((place, self._act_between(run)) for place in between)]
        acts.append((last, self._act_last(run)))
        kept = [(holder, name, holder[name]) for (holder, name), _act in acts]

        def put(*_called: Any) -> None:
            for (holder, name), act in acts:
                holder[name] = StandIn(holder[name], act)

        def restore(*_called: Any) -> None:
            for holder, name, own in kept:
                holder[name] = own

        before = self._network.register_forward_pre_hook(put)
        after = self._network.register_forward_hook(restore)
        try:
            yield
        finally:
            before.remove()
            after.remove()
            restore()

    def _act_first(self, run: _Run) -> Callable[..., Any]:
        def act(block: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            answer = block(*given, **named)
            if len(stream(given, named)) != len(run.rows):
                run.alone = run.decided = False
                return answer
            run.added = self._chain.added(run.rows, given, named, answer)
            leaves_out = self._judged(run) if run.decided is None else [run.decided]
            if any(leaves_out) and not all(leaves_out):
                raise _Apart(leaves_out)
            run.decided = leaves_out[0]
            return answer

        return act

    def _act_between(self, run: _Run) -> Callable[..., Any]:
        def act(block: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if run.decided:
                return self._chain.passed_on(block, given, named)
            answer = block(*given, **named)
            self._chain.saw(block, answer)
            return answer

        return act

    def _act_last(self, run: _Run) -> Callable[..., Any]:
        def act(block: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if run.decided:
                known = [row.memory.rest for row in run.rows if row.memory is not None and row.memory.rest is not None]
                given, named = self._chain.put_back(run.rows, given, named, known)
            elif run.alone:
                run.rest = self._chain.rest(run.rows, given, named)
            return block(*given, **named)

        return act

    def _judged(self, run: _Run) -> list[bool]:
        """Which rows may leave the rest out. The only number that is read back from the device."""
        changes: list[torch.Tensor] = []
        known = []
        for place, (row, added) in enumerate(zip(run.rows, run.added, strict=True)):
            memory = row.memory
            if memory is None or memory.first is None or memory.first.shape != added.shape:
                continue
            if memory.in_a_row < self._chain.patience[memory.level].in_a_row:
                size = memory.first.abs().mean(dtype=torch.float32).clamp(min=1e-8)
                changes.append((added - memory.first).abs().mean(dtype=torch.float32) / size)
                known.append((place, self._chain.patience[memory.level].change))
        found = [False] * len(run.rows)
        for (place, most), change in zip(known, torch.stack(changes).tolist() if changes else (), strict=True):
            # A change that is no number counts as too large.
            found[place] = change < most
        return found
