"""Compiling the denoiser's blocks (swarm-t2i 9.4), while nobody waits for a picture: faster ever after.

Only the blocks a network repeats are compiled, so that one compilation serves all of them. When that happens is the
engine's business (engine/compiling.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.jobs.stage import Pass, Patch, Patched
from swarm.params.kinds import Dropdown, fixed

TORCH_COMPILE = Dropdown(
    name="Torch Compile",
    description="Compiles the model for this device while nobody waits for a picture. The first pictures of a size "
    "are made as they are without it, later ones faster. Where nothing can be compiled, the model runs as it is.",
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
    return modules.compiled(list(repeated_blocks(modules.denoiser)), backend)


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
