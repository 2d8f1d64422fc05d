"""Blocks that would say nothing new are not computed: what they added the last time is added again.

First-block caching, known from ParaAttention: how far the first block's change of its input has moved since the last
step that was computed tells how far the rest would move. Below a threshold the rest is left out. Each row of a call
decides for itself. UNets have no such chain of equal blocks: there the first level decides, and where little has
changed the deeper levels are left out, as DeepCache does. The engine's side is engine/first_block.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarm.features.groups import SWARM_SPEED_GROUP
from swarm.params.kinds import Dropdown, fixed

OFF = "off"

STEP_CACHING = Dropdown(
    name="Step Caching",
    description="Leaves out most of the network in steps that would change little: 'balanced' is hard to see, 'fast' "
    "costs some detail. Transformers (Flux, Stable Diffusion 3, Qwen-Image, Z-Image …) are judged by their first "
    "block, UNets (Stable Diffusion 1, 2, XL) by their first level. Video models and others that run through a "
    "pipeline of their own use it where that knows how. Steps with a ControlNet are always computed.",
    default=OFF,
    values=fixed(OFF, "balanced", "fast"),
    ignore_if=OFF,
    group=SWARM_SPEED_GROUP,
    priority=1.0,
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How much may be left out. `change`: relative change of what decides, up to which the rest is left out.
    `in_a_row`: steps that may pass so before one is computed in any case."""

    change: float
    in_a_row: int


TRANSFORMERS: Mapping[str, Patience] = {
    "balanced": Patience(change=0.08, in_a_row=2),
    "fast": Patience(change=0.15, in_a_row=4),
}
UNETS: Mapping[str, Patience] = {
    "balanced": Patience(change=0.12, in_a_row=2),
    "fast": Patience(change=0.25, in_a_row=3),
}
"""The first level of a UNet moves further from step to step than the first block of a transformer."""
