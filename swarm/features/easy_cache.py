"""Steps that would say nothing new are not computed: what the network added the last time is added again.

EasyCache (Zhou et al. 2025, 2507.02860): how much the output changes per change of the input is nearly constant, so the
next change can be foretold from the input alone. A step is skipped while the changes foretold since the last computed
step stay below the threshold. Works for every family of the batched tier, per picture, beside pictures that do not use
it; the parameters are recorded in the picture's metadata.
"""

from __future__ import annotations

from typing import Any

from swarm.features.groups import ADVANCED_SAMPLING_GROUP
from swarm.params.kinds import Decimal, Dropdown, fixed

_PARAMS: dict[str, Any] = {"group": ADVANCED_SAMPLING_GROUP, "flags": ("comfyui",), "advanced": True}

EASY_CACHE_MODE = Dropdown(
    name="EasyCache Mode",
    description="Skips steps that would change little: faster, at some cost in detail.",
    default="disabled",
    values=fixed("disabled", "all", "base gen only", "video only"),
    ignore_if="disabled",
    priority=14.0,
    **_PARAMS,
)
EASY_CACHE_THRESHOLD = Decimal(
    name="EasyCache Threshold",
    description="How much change may be left out before a step is computed again: 0.05 is careful, 0.2 balanced.",
    default=0.2,
    min=0,
    max=1,
    step=0.05,
    priority=14.5,
    view_type="slider",
    depends_on="easycachemode",
    **_PARAMS,
)
EASY_CACHE_START = Decimal(
    name="EasyCache Start",
    description="The share of the steps that is computed in any case at the beginning.",
    default=0.15,
    min=0,
    max=1,
    step=0.05,
    ignore_if="0",
    priority=14.6,
    view_type="slider",
    depends_on="easycachemode",
    **_PARAMS,
)
EASY_CACHE_END = Decimal(
    name="EasyCache End",
    description="The share of the steps after which all are computed again.",
    default=0.95,
    min=0,
    max=1,
    step=0.05,
    ignore_if="1",
    priority=14.7,
    view_type="slider",
    depends_on="easycachemode",
    **_PARAMS,
)
