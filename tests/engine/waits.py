"""What sends something to the far device in a way in which a GPU would be waited for.

A GPU that is given a tensor from ordinary memory, or Python's numbers as a tensor, is waited for; Device.sent does not
wait. Tensors of no dimension that take part in arithmetic are no copies: they travel with the order.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_FACTORIES = {torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor}
_LOOK_UPS = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}
_COPIES = {"to", "_to_copy", "copy_", "type_as", "index", "index_put_"}
_OF_TORCH = "/site-packages/torch/"


class Waits:
    """While it is entered, it notes. `found`: what was called, and from where."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._entered = ExitStack()

    def __enter__(self) -> Waits:
        for mode in (_Copies, _Numbers):
            self._entered.enter_context(mode(self.found))
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.close()


class _Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tensors of the processor's that get to the device."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        near = [each for each in _tensors((args, kwargs)) if each.is_cpu]
        name = func.overloadpacket.__name__
        if any(each.ndim or name in _COPIES for each in near) and any(
            each.is_meta for each in _tensors((args, kwargs, made))
        ):
            self._found.append(f"{name}: {_caller()}")
        return made


class _Numbers(TorchFunctionMode):
    """Python's numbers that are made a tensor on the device, or that something on it is looked up by."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if (func in _FACTORIES and made.is_meta and not isinstance(args[-1], torch.Tensor)) or (
            func in _LOOK_UPS and args[0].is_meta and any(isinstance(each, list) for each in _places(args[1]))
        ):
            self._found.append(f"{func.__name__}: {_caller()}")
        return made


def _places(asked: Any) -> Iterable[Any]:
    return asked if isinstance(asked, tuple) else (asked,)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [each for each in tree_leaves(tree) if isinstance(each, torch.Tensor)]


def _caller() -> str:
    """The line outside torch and this file."""
    for frame in reversed(traceback.extract_stack()):
        if _OF_TORCH not in frame.filename and frame.filename != __file__:
            return f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.line}"
    return ""
