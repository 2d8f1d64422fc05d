"""Random weights by name and shape, files of them, and diffusers' own converters made to fit small widths."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]


def linear(name: str, outputs: int, inputs: int, *, bias: bool = True) -> Shapes:
    """The shapes of one linear layer."""
    return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})


def fresh(shapes: Mapping[str, tuple[int, ...]], seed: int) -> Tensors:
    """Weights that keep the variance of what goes through them, so that a prompt is heard. Exact in float16."""
    numbers = torch.Generator().manual_seed(seed)
    return {name: _fresh(name, shape, numbers).half() for name, shape in shapes.items()}


def _fresh(name: str, shape: tuple[int, ...], numbers: torch.Generator) -> torch.Tensor:
    drawn = torch.randn(shape, generator=numbers)
    if name.endswith(("bias", "table", "token", "tokens", "embedding")):
        return drawn * 0.1
    if len(shape) == 1 or name.endswith("gamma"):
        return 1 + drawn * 0.1
    if name.endswith(("pos_embed", "positional_encoding")):
        return drawn
    return drawn * (torch.tensor(shape[1:]).prod() ** -0.5)


def refreshed(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The module with weights of `fresh`, by its own names, ready to run."""
    shapes = {name: tuple(weight.shape) for name, weight in module.named_parameters()}
    module.load_state_dict({name: value.float() for name, value in fresh(shapes, seed).items()}, strict=False)
    return module.eval().requires_grad_(False)


def filled(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The module with exactly these weights in float32; raises when one is missing or left over."""
    known = {name: value.float() for name, value in tensors.items()}
    module.load_state_dict(known, strict=True)
    return module.eval().requires_grad_(False)


def below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    return {prefix + name: value for name, value in tensors.items()}


def state(module: torch.nn.Module, *, without: Iterable[str] = ()) -> Tensors:
    """A module's weights in float16 by its own names."""
    dropped = set(without)
    return {name: value.detach().half() for name, value in module.state_dict().items() if name not in dropped}


def write(
    path: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any] | None = None, family: str = ""
) -> Path:
    """A safetensors file. `config`: component configs for the header's `swarm.config`. `family`: what it says it is."""
    metadata = {"format": "pt"} | ({} if config is None else {"swarm.config": json.dumps(config)})
    metadata |= {"modelspec.architecture": family} if family else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata=metadata)
    return path


def plain_config(module: Any) -> dict[str, Any]:
    """A diffusers model's own config entries, without diffusers' private ones."""
    return {name: value for name, value in dict(module.config).items() if not name.startswith("_")}


def narrowed(converter: Callable[..., Tensors], widths: Mapping[int, int]) -> Callable[..., Tensors]:
    """diffusers' own converter with the widths that it has written into its code replaced by small ones."""
    own: Any = converter
    return FunctionType(_narrowed(own.__code__, widths), own.__globals__, own.__name__, own.__defaults__)


def _narrowed(code: CodeType, widths: Mapping[int, int]) -> CodeType:
    def replaced(constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return _narrowed(constant, widths)
        return widths.get(constant, constant) if type(constant) is int else constant

    return code.replace(co_consts=tuple(replaced(constant) for constant in code.co_consts))
