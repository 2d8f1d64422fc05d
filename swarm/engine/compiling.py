"""A network's repeated blocks compiled while the engine has nothing else to do; until then they run as they are.

A block notes what it is called with. When nobody waits for a picture, one block is compiled for one such call, on
tensors of the same kind; so a picture that comes meanwhile waits for one block at most. Calls of other shapes run
uncompiled and are noted in turn. Nothing is ever compiled inside a call that makes a picture.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.utils._pytree import tree_map

from swarm.engine.attending.direct import DirectForward
from swarm.engine.attending.kept import KeptProjection

logger = logging.getLogger(__name__)

_MOST_SHAPES = 256
"""Kinds of calls that a block is made ready for; further ones run uncompiled."""
_MOST_CODES = 32
"""Compiled codes that all blocks of a class have together: from the second size on, one serves nearly every other."""

Signature: TypeAlias = tuple[Hashable, ...]
Changes: TypeAlias = tuple[tuple[str, Hashable], ...]
"""(patch id, its key) each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Like:
    """What a tensor looked like."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def made(self) -> torch.Tensor:
        extent = 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        whole = torch.zeros(max(0, extent), dtype=self.dtype, device=self.device)
        return whole.as_strided(self.shape, self.stride)


class Region:
    """One block, called in its place: compiled for the calls it is ready for."""

    def __init__(self, block: Any, backend: str, note: Callable[[Region, Signature, Any], None]) -> None:
        self._block = block
        self._backend = backend
        self._note = note
        self._compiled: Callable[..., Any] | None = None
        self.ready: set[Signature] = set()
        self.noted: set[Signature] = set()

    def __call__(self, *given: Any, **named: Any) -> Any:
        signature = signature_of((given, named))
        if self._compiled is not None and signature in self.ready:
            return self._compiled(*given, **named)
        self._note(self, signature, (given, named))
        return self._block._call_impl(*given, **named)

    def compile(self, signature: Signature, call: Any) -> None:
        """Compile for one kind of call. Raises whatever the compiler raises."""
        if self._compiled is None:
            self._compiled = torch.compile(self._block._call_impl, backend=self._backend)
        given, named = _materialised(call)
        config = torch._dynamo.config.patch(suppress_errors=False, recompile_limit=_MOST_CODES)
        with torch.compiler.set_stance("default"), config:
            self._compiled(*given, **named)
        self.ready.add(signature)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Wish:
    """A call that a block is to be compiled for, and what was changed in the model when it came."""

    backend: str
    call: Any
    changed: Changes


class Regions:
    """The compiled blocks of one loaded model, and what is yet to be compiled. `name`: of its file.

    `changed`: the patches that are in the model now.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._made: dict[str, list[Region]] = {}
        self._wanted: OrderedDict[tuple[Region, Signature], _Wish] = OrderedDict()
        self._given_up: set[str] = set()
        self.changed: Changes = ()

    def use(self, blocks: Sequence[Any], backend: str) -> Callable[[], None]:
        """Have the blocks run compiled by `backend`, as far as they are; returns what undoes it."""
        if backend in self._given_up:
            return lambda: None
        regions = self._made.setdefault(backend, [Region(block, backend, self._note(backend)) for block in blocks])
        shortcuts = list(_without_shortcuts(blocks))
        for block, region in zip(blocks, regions, strict=True):
            block._compiled_call_impl = region
        # What differs from the calls that were compiled in anything else runs uncompiled too.
        torch.compiler.set_stance("eager_on_recompile")

        def undo() -> None:
            for block in blocks:
                block._compiled_call_impl = None
            for module, shortcut in shortcuts:
                module.forward = shortcut
            torch.compiler.set_stance("default")

        return undo

    @property
    def waiting(self) -> int:
        """How many blocks are yet to be compiled, one for each kind of call."""
        return len(self._wanted)

    @property
    def ready(self) -> int:
        """How many are."""
        return sum(len(region.ready) for regions in self._made.values() for region in regions)

    @property
    def next_changed(self) -> Changes:
        """The patches that have to be in the model when the next block is compiled."""
        return next(iter(self._wanted.values())).changed

    def compile_one(self) -> None:
        """Compile one block for one kind of call. Raises whatever the compiler raises."""
        (region, signature), wish = next(iter(self._wanted.items()))
        region.compile(signature, wish.call)
        del self._wanted[region, signature]
        if not self._wanted:
            logger.info("The model '%s' is compiled: %d blocks and kinds of calls.", self.name, self.ready)

    def give_up(self, error: Exception) -> None:
        """What was to be compiled now cannot be: its compiler is not used for this model any more."""
        backend = next(iter(self._wanted.values())).backend
        self._given_up.add(backend)
        self._wanted = OrderedDict((key, wish) for key, wish in self._wanted.items() if wish.backend != backend)
        for region in self._made.pop(backend):
            region.ready.clear()
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        logger.warning(
            "The model '%s' runs uncompiled from now on: '%s' could not compile it (%s).", self.name, backend, reason
        )

    def _note(self, backend: str) -> Callable[[Region, Signature, Any], None]:
        def note(region: Region, signature: Signature, call: Any) -> None:
            if backend in self._given_up or signature in region.noted or len(region.noted) >= _MOST_SHAPES:
                return
            region.noted.add(signature)
            self._wanted[region, signature] = _Wish(backend=backend, call=_kept(call), changed=self.changed)

        return note


def _without_shortcuts(blocks: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Take out what spares layers some of Python's work. It would have each block compiled anew, for it is an object of
    its own in each; and compiled code has no such work. Yields (layer, what it had)."""
    for block in blocks:
        for module in block.modules():
            if isinstance(module.__dict__.get("forward"), DirectForward | KeptProjection):
                yield module, module.__dict__.pop("forward")


def signature_of(value: Any) -> Signature:
    """Equal for calls that the same compiled code may be run for."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, dict):
        return tuple((name, signature_of(each)) for name, each in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(signature_of, value))
    if isinstance(value, str | int | float | bool | None):
        return "is", value
    return "a", type(value).__qualname__


def _kept(call: Any) -> Any:
    """A call's arguments, without holding on to its tensors; the same tensor twice stays the same twice."""
    known: dict[int, _Like] = {}

    def like(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return known.setdefault(
            id(value), _Like(shape=value.shape, stride=value.stride(), dtype=value.dtype, device=value.device)
        )

    return tree_map(like, call)


def _materialised(call: Any) -> Any:
    known: dict[_Like, torch.Tensor] = {}

    def made(value: Any) -> Any:
        if not isinstance(value, _Like):
            return value
        if value not in known:
            known[value] = value.made()
        return known[value]

    return tree_map(made, call)
