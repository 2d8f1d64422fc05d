"""What one walk is told about the model's noise otherwise than the model's file says: shift, kind of prediction."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import Any

from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.components import Components
from swarm.features.prediction_type import OVERRIDE_PREDICTION_TYPE
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sigma_shift import SIGMA_SHIFT
from swarm.params.input import GenerationInput

_PREDICTIONS = {"v": "v_prediction", "v-zsnr": "v_prediction", "epsilon": "epsilon", "x0": "sample", "lcm": "epsilon"}
_DISTILLED_STRIDE = 20
"""LCM models know every twentieth of the training timesteps."""
_SMALL, _LARGE = 256, 4096
_BASE_SHIFT = 0.5
_FINE = 10_000
"""Where growing shifts begin: 256 patches of 16x16 pixels get this exponent, 4096 of them the one that is asked. Their
tables have as many levels as `_FINE`, whatever the model's own has."""


def as_asked(components: Components, request: GenerationInput) -> Components:
    """The components with the request's own prediction and noise levels; the same object when it asks for none."""
    changes: dict[str, Any] = {}
    kind = request.given(OVERRIDE_PREDICTION_TYPE)
    if kind == "sd3":
        shift = request.given(SIGMA_SHIFT) or SIGMA_SHIFT.default
        changes = {"prediction": "flow", "table": SigmaTable.flow(shift)}
    elif kind is not None:
        changes = {"prediction": _PREDICTIONS[kind], "table": _table(components, kind)}
    elif components.is_flow and (asked := request.given(SIGMA_SHIFT)):
        changes = {"table": _shifted(components, asked, request.get(WIDTH), request.get(HEIGHT))}
    return replace(components, **changes) if changes else components


def _table(components: Components, kind: str) -> SigmaTable:
    """Noise levels of a beta schedule; the model's own unless the kind wants others."""
    own, architecture = components.table, components.architecture
    if kind != "v-zsnr" and own.shift is None:
        return own.distilled(_DISTILLED_STRIDE) if kind == "lcm" else own
    table = replace(architecture, flow_shift=None).sigma_table(zero_snr=kind == "v-zsnr")
    return table.distilled(_DISTILLED_STRIDE) if kind == "lcm" else table


def _shifted(components: Components, asked: float, width: int, height: int) -> SigmaTable:
    if not components.architecture.shift_grows:
        return SigmaTable.flow(asked, len(components.table.sigmas))
    patches = width * height / 256
    slope = (asked - _BASE_SHIFT) / (_LARGE - _SMALL)
    return SigmaTable.flow(exp(_BASE_SHIFT + slope * (patches - _SMALL)), _FINE)
