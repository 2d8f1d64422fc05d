"""Which library multiplies by linear layers' weights on a CPU: tried once at the start, then fixed for the process.

torch asks MKL for float32 products, and MKL keeps its widest instructions for one maker's processors: on others oneDNN,
which torch carries for convolutions, has been measured twice as quick at the same numbers (docs/benchmarks.md).
"""

from __future__ import annotations

import logging
import time

import torch
from torch.nn.functional import linear

from swarm.engine.device import Device

_log = logging.getLogger(__name__)

LEAST_ROWS = 4
"""Products of fewer rows wait for memory, and gain nothing."""
LEAST_WORK = 1 << 21
"""Multiplications (rows times inputs times outputs) below which oneDNN's longer way to its kernel costs more."""

_TRIED = (512, 256, 512)
"""Rows, inputs and outputs of the product that is tried."""
_ROUNDS = 9
_WORTH = 1.2
"""oneDNN has to be more than this many times as quick."""

_plain = torch.nn.Linear.forward


def use(device: Device) -> bool:
    """Have linear layers ask the quicker library from now on; returns whether that is oneDNN. GPUs have their own.

    Which is quicker is measured (some 10 ms): who needs the same bits at every start leaves it out.
    """
    gain = 0.0 if device.is_cuda or not torch.backends.mkldnn.is_available() else _gain()
    quicker = gain > _WORTH
    # On the class: text encoders, networks, VAEs and what stands beside them all have such layers.
    torch.nn.Linear.forward = through_onednn if quicker else _plain  # type: ignore[method-assign,assignment]
    if gain:
        _log.info("Products on the CPU: %s (oneDNN is %.1f times as quick)", "oneDNN" if quicker else "torch's", gain)
    return quicker


_NO_NEW_CODE = "could not create a primitive"


def leave_onednn_after(error: BaseException) -> bool:
    """Compute without oneDNN from now on, if this is the error after which it makes nothing new; says whether it is.

    Where there was no memory for its code once, it remembers that for as long as the process lives, and refuses every
    shape it has not computed before. torch's own kernels know every shape; they are slower.
    """
    if _NO_NEW_CODE not in str(error) or not torch.backends.mkldnn.enabled:
        return False
    _log.warning(
        "oneDNN ran out of memory and computes nothing new; torch's own kernels take its place until a restart."
    )
    torch.backends.mkldnn.set_flags(False)
    torch.nn.Linear.forward = _plain  # type: ignore[method-assign]
    return True


def through_onednn(layer: torch.nn.Linear, input: torch.Tensor) -> torch.Tensor:
    """A linear layer's forward: (…, inputs) to (…, outputs), as torch's own to the last bits of float32."""
    weight = layer.weight
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not _suits(input, weight):
        return linear(input, weight, layer.bias)
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, layer.bias, "none", [], "")
    return product


def _suits(input: torch.Tensor, weight: torch.Tensor) -> bool:
    if not (input.is_cpu and input.dtype is torch.float32 and weight.dtype is torch.float32):
        return False
    outputs, inputs = weight.shape
    numbers = input.numel()
    return numbers >= LEAST_ROWS * inputs and numbers * outputs >= LEAST_WORK


def _gain() -> float:
    """Seconds of torch's own product over oneDNN's, each at its quickest: other work on the machine only adds."""
    rows, inputs, outputs = _TRIED
    layer = torch.nn.Linear(inputs, outputs)
    numbers = torch.zeros(rows, inputs)
    own, other = [], []
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            own.append(_seconds(_plain, layer, numbers))
            other.append(_seconds(through_onednn, layer, numbers))
    return min(own) / min(other)


def _seconds(forward: object, layer: torch.nn.Linear, numbers: torch.Tensor) -> float:
    begun = time.perf_counter()
    forward(layer, numbers)  # type: ignore[operator]
    return time.perf_counter() - begun
