"""What is the same from step to step, made once: numbers on the device, prompts as a network is told them.

A tensor that is made of Python's numbers on a GPU, or copied there from ordinary memory, waits until the GPU has done
all that was asked of it before; then it stands idle until more is asked. Nothing here waits (Device.sent), and what
has been sent is not sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import torch

from swarm.engine.components import Row
from swarm.engine.device import Device
from swarm.jobs.stage import Conditioning

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_PLACES = 8
_NUMBERS = 1024
"""A few schedules of many steps; each takes half a kilobyte on the device."""
_CALLS = 2
"""The prompt's and the negative prompt's, where they cannot share one. More would hold many prompts twice."""


class Once(Generic[K, V]):
    """The latest `most` things that `make` made, by what they were made of. They are not to be changed in place."""

    def __init__(self, make: Callable[[K], V], most: int = _PLACES) -> None:
        self._make = make
        self._most = most
        self._made: OrderedDict[K, V] = OrderedDict()

    def __call__(self, of: K) -> V:
        if of in self._made:
            self._made.move_to_end(of)
            return self._made[of]
        made = self._made[of] = self._make(of)
        if len(self._made) > self._most:
            self._made.popitem(last=False)
        return made

    def let_go(self) -> None:
        self._made.clear()


class Numbers:
    """Rows of numbers as tensors on a device: the timesteps of a call, what guides it, sizes that it is told."""

    def __init__(self, device: Device, dtype: torch.dtype = torch.float32) -> None:
        self._sent: Once[tuple[float | tuple[float, ...], ...], torch.Tensor] = Once(
            lambda values: device.sent(torch.tensor(values, dtype=dtype)), _NUMBERS
        )

    def __call__(self, values: Iterable[float | tuple[float, ...]]) -> torch.Tensor:
        """(n,), or (n, m) for tuples of m."""
        return self._sent(tuple(values))


class Copies:
    """The processor's tensors on a device: pictures that guide every step. The latest stay, in the device's format."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._sent: OrderedDict[int, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in self._sent:
            # What was sent is kept beside its copy, so that no other takes its place in memory.
            self._sent[id(tensor)] = tensor, self._device.sent(tensor, self._device.compute)
            if len(self._sent) > _PLACES:
                self._sent.popitem(last=False)
        self._sent.move_to_end(id(tensor))
        return self._sent[id(tensor)][1]

    def let_go(self) -> None:
        self._sent.clear()


class OncePerPrompts(Generic[V]):
    """What `make` makes of a call's rows, where that depends on nothing but their prompts, their `size` and the shape
    of their latents; kept while the same prompts are asked again, which is nearly every step."""

    def __init__(self, make: Callable[[Sequence[Row]], V]) -> None:
        self._make = make
        # The prompts are kept beside what was made of them, so that no others take their places in memory.
        self._made: OrderedDict[Hashable, tuple[list[Conditioning], V]] = OrderedDict()

    def __call__(self, rows: Sequence[Row]) -> V:
        key = rows[0].x.shape[1:], tuple((id(row.conditioning), row.size) for row in rows)
        known = self._made.get(key)
        if known is None:
            known = self._made[key] = [row.conditioning for row in rows], self._make(rows)
            if len(self._made) > _CALLS:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return known[1]

    def let_go(self) -> None:
        self._made.clear()


def let_go(holder: object) -> None:
    """Have what an object keeps for later taken off the device: whatever it holds that has a method `let_go`."""
    for kept in vars(holder).values():
        if hasattr(kept, "let_go"):
            kept.let_go()
