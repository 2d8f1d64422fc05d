"""Compiled blocks in whole pipelines: compiled while nobody waits, in for one run and out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from swarm.engine.compiling import Regions
from swarm.features.step_caching import OFF, STEP_CACHING
from swarm.features.torch_compile import TORCH_COMPILE, repeated_blocks
from swarm.params.input import GenerationInput

_DENOISERS = ("transformer", "transformer_2", "unet")


@contextmanager
def blocks_compiled(pipe: Any, regions: Regions, input: GenerationInput) -> Iterator[None]:
    """While it is entered, the denoisers' blocks run compiled as far as they are, if the request asks for it. Not with
    step caching, whose hooks sit in the blocks."""
    backend = input.get(TORCH_COMPILE)
    networks = [getattr(pipe, name, None) for name in _DENOISERS]
    blocks = [block for network in networks if network is not None for block in repeated_blocks(network)]
    if backend == TORCH_COMPILE.default or input.get(STEP_CACHING) != OFF or not blocks:
        yield
        return
    undo = regions.use(blocks, backend)
    try:
        yield
    finally:
        undo()
