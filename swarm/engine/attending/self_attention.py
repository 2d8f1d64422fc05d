"""Other processors in a UNet's self-attention layers, for the length of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def self_attention(unet: Any, around: Callable[[Any], Any]) -> Iterator[None]:
    """While it is entered, each self-attention layer has `around(processor)` in the place of its processor."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    layers = [unet.get_submodule(name) for name in names if name.endswith("attn1")]
    before = [layer.processor for layer in layers]
    for layer, own in zip(layers, before, strict=True):
        layer.processor = around(own)
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.processor = own
