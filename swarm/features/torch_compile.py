"""Compiling the denoiser's blocks (swarm-t2i 9.4): slower once, faster ever after.

Only the blocks a network repeats are compiled, so that one compilation serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.jobs.stage import Pass, Patch, Patched
from swarm.params.kinds import Dropdown, fixed

TORCH_COMPILE = Dropdown(
    name="Torch Compile",
    description="Compiles the model for this device. The first picture of a size takes up to minutes longer, those "
    "after it are made faster. Where nothing can be compiled, the model runs as it is.",
    default="Disabled",
    values=fixed("Disabled", "inductor", "cudagraphs"),
    ignore_if="Disabled",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    priority=40.0,
)


def _key(of: Pass) -> Hashable:
    backend = of.input.get(TORCH_COMPILE)
    return None if backend == "Disabled" else backend


def _apply(modules: Patched, backend: str) -> Callable[[], None]:
    import torch

    # Without a compiler on the machine the blocks run uncompiled, with a line in the log.
    torch._dynamo.config.suppress_errors = True
    blocks = list(repeated_blocks(modules.denoiser))
    for block in blocks:
        made = block.__dict__.setdefault("_compiled_for", {})
        if backend not in made:
            block.compile(backend=backend)
            made[backend] = block._compiled_call_impl
        block._compiled_call_impl = made[backend]

    def undo() -> None:
        for block in blocks:
            block._compiled_call_impl = None

    return undo


def repeated_blocks(network: Any) -> Iterator[Any]:
    """The modules that make up most of a network, many times over: what its class names as such, else what its longest
    lists hold."""
    named = set(getattr(network, "_repeated_blocks", None) or ())
    if named:
        yield from (module for module in network.modules() if type(module).__name__ in named)
        return
    for child in network.children():
        if type(child).__name__ == "ModuleList":
            yield from child


COMPILED = Patch(id="torch_compile", order=95, when=TORCH_COMPILE, key=_key, apply=_apply)
