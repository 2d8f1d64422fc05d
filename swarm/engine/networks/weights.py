"""Reading a small network from one file: its tensors, unwrapped, and put into a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.jobs.job import ModelFile

_WRAPS = ("params_ema.", "params.", "state_dict.", "module.", "model_state_dict.", "generator.", "net_g.")
"""What training programs put before all names."""

M = TypeVar("M", bound=torch.nn.Module)


def read_weights(file: ModelFile) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by their names, float32. Raises BadInput, for pickled files too."""
    checkpoint = Checkpoint(file.path)
    names = list(checkpoint.shapes)
    prefix = next((wrap for wrap in _WRAPS if any(name.startswith(wrap) for name in names)), "")
    return {name[len(prefix) :]: checkpoint.tensor(name).float() for name in names if name.startswith(prefix)}


def filled(module: M, weights: Mapping[str, torch.Tensor], file: ModelFile, device: Device) -> M:
    """The module with these weights, ready to run on the device. Raises BadInput when they do not fit."""
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError:
        raise BadInput(f"The file '{file.name}' lacks some of its weights, or has more than it should.") from None
    return module.to(device=device.place, dtype=device.compute).eval().requires_grad_(False)
