"""The noise levels a whole pipeline's network was trained on, by its scheduler's settings and by its family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, sqrt
from typing import Any

import diffusers

from swarm.diffusion.sigmas import SigmaTable

_FLOW = frozenset({"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"})
_BETAS = frozenset({
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
})  # fmt: skip
_OF_ITS_OWN = ("thresholding", "stochastic_sampling", "invert_sigmas")
"""Settings with which a model is not solved by walking down noise levels alone."""
_XL = "StableDiffusionXL"
_LEAST_SIGNAL = 2.0**-24
_FINE = 10_000


@dataclass(frozen=True, kw_only=True)
class Levels:
    """What a scheduler's network was trained on. `kind`: a kind of diffusion/prediction.py. `steps`: its timesteps.

    `grows`: a flow model whose shift is told with each size; `exponent`: that is told as its logarithm.
    """

    kind: str
    table: SigmaTable
    steps: int
    grows: bool = False
    exponent: bool = True

    def timestep(self, sigma: float) -> float:
        """What the network is told for `sigma`."""
        return sigma * self.steps if self.kind == "flow" else self.table.nearest_t(sigma)

    def sigma_of(self, timestep: float) -> float:
        return timestep / self.steps if self.kind == "flow" else self.table.sigma_of(timestep)

    def grown(self, mu: float | None) -> Levels:
        """For a picture that the pipeline tells `mu` for."""
        if not self.grows or mu is None:
            return self
        return replace(self, table=SigmaTable.flow(exp(mu) if self.exponent else mu, self.steps), grows=False)


@dataclass(frozen=True, kw_only=True)
class Usual:
    """How everybody's pictures of a family are solved, where the request does not say. `levels`: in the flow table.

    `shift`: of a flow model's noise levels, None for the model's own. `schedule_from_picture`: None for `schedule`.
    `low`, `high`: the range of a Karras schedule. `compat`: the class that schedules tuned per family know it by.
    """

    sampler: str = "euler"
    schedule: str = "normal"
    schedule_from_picture: str | None = None
    shift: float | None = None
    levels: int = 1000
    low: float | None = None
    high: float | None = None
    compat: str = ""


_WAN = Usual(schedule="simple", shift=8.0, compat="wan-21-14b")
_BY_NAME: Mapping[str, Usual] = {
    "Wan": _WAN,
    "SkyReelsV2": _WAN,
    "LTX": Usual(schedule="ltxv", schedule_from_picture="ltxv-image", shift=exp(2.37), levels=_FINE),
    "HunyuanVideo": Usual(schedule_from_picture="simple", shift=7.0),
    "Mochi": Usual(shift=6.0),
    "StableVideoDiffusion": Usual(
        sampler="dpmpp_2m_sde_gpu",
        schedule="karras",
        low=0.002,
        high=1000.0,
        compat="stable-video-diffusion-img2vid-v1",
    ),
}
"""By how the pipeline's name begins: as SwarmUI solves them."""


def usual_of(pipe: Any) -> Usual | None:
    """None for a family nobody has a habit for."""
    names = [kind.__name__ for kind in type(pipe).__mro__]
    found = (usual for start, usual in _BY_NAME.items() if any(name.startswith(start) for name in names))
    return next(found, None)


def compat_of(pipe: Any) -> str:
    """The class that schedules tuned per family know a family without habits by; empty for none of them."""
    return "stable-diffusion-xl-v1" if type(pipe).__name__.startswith(_XL) else ""


def levels_of(own: Any, usual: Usual | None, shift: float | None) -> Levels | None:
    """The levels that a pipeline's own scheduler stands for; None for one with a formulation of its own.

    `shift`: how far a flow model's are moved, None for as far as usual.
    """
    config, name = own.config, type(own).__name__
    if any(config.get(setting) for setting in _OF_ITS_OWN):
        return None
    steps = int(config.get("num_train_timesteps", 1000))
    if name in _FLOW or (name in _BETAS and config.get("use_flow_sigmas")):
        if name not in _FLOW and config.get("prediction_type") != "flow_prediction":
            return None
        return _flow(config, usual, shift, steps)
    kind = config.get("prediction_type", "epsilon")
    if name not in _BETAS or kind not in ("epsilon", "v_prediction", "sample"):
        return None
    return Levels(kind=kind, table=_beta_table(own, steps), steps=steps)


def _flow(config: Any, usual: Usual | None, shift: float | None, steps: int) -> Levels:
    if shift is not None:
        return Levels(kind="flow", table=SigmaTable.flow(shift, steps), steps=steps)
    if usual is not None and usual.shift is not None:
        return Levels(kind="flow", table=SigmaTable.flow(usual.shift, usual.levels), steps=steps)
    own = config.get("shift", config.get("flow_shift")) or 1.0
    grows = bool(config.get("use_dynamic_shifting"))
    exponent = config.get("time_shift_type", "exponential") == "exponential"
    return Levels(kind="flow", table=SigmaTable.flow(own, steps), steps=steps, grows=grows, exponent=exponent)


def _beta_table(own: Any, steps: int) -> SigmaTable:
    config = own.config
    if config.get("timestep_type") == "continuous":
        return SigmaTable.edm(config.sigma_min, config.sigma_max, steps)
    spaced = {"scaled_linear": SigmaTable.scaled_linear, "linear": SigmaTable.linear}.get(config.get("beta_schedule"))
    if spaced is not None and not config.get("snr_shift_scale") and config.get("trained_betas") is None:
        zero = bool(config.get("rescale_betas_zero_snr"))
        return spaced(config.beta_start, config.beta_end, steps, zero_snr=zero)
    alphas = (max(float(alpha), _LEAST_SIGNAL) for alpha in own.alphas_cumprod)
    return SigmaTable(tuple(sqrt((1.0 - alpha) / alpha) for alpha in alphas))


def plain_kind(own: Any) -> Any:
    """The class of scheduler that pipelines step in the plain way, with these settings."""
    return diffusers.CogVideoXDDIMScheduler if type(own).__name__ == "CogVideoXDPMScheduler" else type(own)
