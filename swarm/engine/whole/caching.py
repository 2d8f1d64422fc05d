"""Step caching for whole pipelines: diffusers' own first-block hooks, in for one run and out again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import FirstBlockCacheConfig
from diffusers.hooks._common import _ALL_TRANSFORMER_BLOCK_IDENTIFIERS
from diffusers.hooks._helpers import TransformerBlockRegistry

from swarm.features.step_caching import OFF, STEP_CACHING, TRANSFORMERS
from swarm.params.input import GenerationInput


@contextmanager
def blocks_left_out(pipe: Any, input: GenerationInput) -> Iterator[None]:
    """While it is entered, the pipeline's transformers leave out what the request allows, if they know how."""
    level = input.get(STEP_CACHING)
    networks: list[Any] = []
    try:
        if level != OFF and _tells_calls_apart(pipe):
            for network in filter(_can, pipe.components.values()):
                network.enable_cache(FirstBlockCacheConfig(threshold=TRANSFORMERS[level].change))
                networks.append(network)
        yield
    finally:
        for network in networks:
            network.disable_cache()


def _tells_calls_apart(pipe: Any) -> bool:
    """Whether the pipeline says which of its calls belong to which prompt; what is remembered of one must not answer
    for another."""
    return "cache_context(" in inspect.getsource(type(pipe).__call__)


def _can(part: Any) -> bool:
    """Whether the hooks know what all of a network's blocks are given and answer."""
    if not hasattr(part, "enable_cache"):
        return False
    lists = [getattr(part, name, None) for name in _ALL_TRANSFORMER_BLOCK_IDENTIFIERS]
    blocks = [block for blocks in lists if isinstance(blocks, torch.nn.ModuleList) for block in blocks]
    return len(blocks) > 1 and all(map(_is_known, blocks))


def _is_known(block: Any) -> bool:
    try:
        TransformerBlockRegistry.get(type(block))
    except ValueError:
        return False
    return True
