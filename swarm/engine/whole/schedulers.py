"""A request's sampler and schedule as a diffusers scheduler, where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers

from swarm.base.errors import BadInput

_Choice = tuple[str, Mapping[str, Any]]
_FLOW_SOLVER = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_DPM = "DPMSolverMultistepScheduler"

# UniPC of the first kind cannot step to no noise at all in diffusers, so both kinds are the second.
DIFFUSION: Mapping[str, _Choice] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm_2": ("KDPM2DiscreteScheduler", {}),
    "dpm_2_ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": True}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "dpmpp_2m": (_DPM, {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}),
    "dpmpp_2m_sde": (_DPM, {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}),
    "dpmpp_sde": ("DPMSolverSDEScheduler", {}),
    "uni_pc": ("UniPCMultistepScheduler", {"solver_type": "bh2"}),
    "uni_pc_bh2": ("UniPCMultistepScheduler", {"solver_type": "bh2"}),
    "deis": ("DEISMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
_COMMON = {name for name, _options in DIFFUSION.values()} - {"LCMScheduler"} | {"PNDMScheduler"}
FLOW: Mapping[str, _Choice] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "lcm": ("FlowMatchLCMScheduler", {}),
    "dpmpp_2m": (_DPM, {"algorithm_type": "dpmsolver++", "solver_order": 2, **_FLOW_SOLVER}),
    "dpmpp_2m_sde": (_DPM, {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, **_FLOW_SOLVER}),
    "uni_pc": ("UniPCMultistepScheduler", {"solver_type": "bh2", **_FLOW_SOLVER}),
    "uni_pc_bh2": ("UniPCMultistepScheduler", {"solver_type": "bh2", **_FLOW_SOLVER}),
}
_SPREAD: Mapping[str, Mapping[str, Any]] = {
    "karras": {"use_karras_sigmas": True, "timestep_spacing": "linspace"},
    "exponential": {"use_exponential_sigmas": True, "timestep_spacing": "linspace"},
    "beta": {"use_beta_sigmas": True},
    "sgm_uniform": {"timestep_spacing": "trailing"},
    "simple": {"timestep_spacing": "trailing"},
    "ddim_uniform": {"timestep_spacing": "leading", "steps_offset": 1},
}
_OWN_DIFFUSION = frozenset({"normal"})
_OWN_FLOW = frozenset({"normal", "simple", "sgm_uniform"})


def scheduler_for(own: Any, sampler: str | None, schedule: str | None, shift: float | None = None) -> Any:
    """The pipeline's own scheduler, or one of the asked kind with its settings. Raises BadInput with a sentence.

    `shift`: how far a flow model's noise levels are moved, None for the model's own.

    Clients always name a sampler; `euler` and `normal` therefore never fail: a model with a solver of its own keeps it.
    """
    is_flow = _is_flow(own)
    known = FLOW if is_flow else DIFFUSION
    if not is_flow and not _is_exchangeable(own):
        return _only_own(own, sampler, schedule)
    name, options = type(own).__name__, dict[str, Any]()
    if sampler is not None:
        if sampler not in known:
            raise BadInput(
                f"The sampler '{sampler}' does not exist for this model, which runs as a whole pipeline. "
                f"Choose one of: {', '.join(sorted(known))}."
            )
        name, options = known[sampler][0], dict(known[sampler][1])
    if schedule is not None and schedule not in (_OWN_FLOW if is_flow else _OWN_DIFFUSION):
        options |= _spread(name, schedule)
    if is_flow and shift is not None:
        options["use_dynamic_shifting"] = False
    if name == type(own).__name__ and not options:
        return own
    kind = getattr(diffusers, name)
    if shift is None:
        shift = own.config.get("shift", own.config.get("flow_shift"))
    shifts = {"shift": shift, "flow_shift": shift} if is_flow and shift is not None else {}
    return kind.from_config({**own.config, **shifts, **options})


def _spread(name: str, schedule: str) -> Mapping[str, Any]:
    """The settings of a schedule. Raises BadInput where the solver has none for it."""
    options = _SPREAD.get(schedule)
    known = getattr(diffusers, name).__init__.__wrapped__.__code__.co_varnames
    if options is None or next(iter(options)) not in known:
        can = sorted({"normal", *(id for id, needs in _SPREAD.items() if next(iter(needs)) in known)})
        raise BadInput(
            f"The schedule '{schedule}' does not exist for this model and sampler, which run as a whole pipeline. "
            f"Choose one of: {', '.join(can)}."
        )
    return options


def _is_flow(own: Any) -> bool:
    return type(own).__name__.startswith("FlowMatch") or bool(own.config.get("use_flow_sigmas"))


def _is_exchangeable(own: Any) -> bool:
    """Whether the pipeline was written for any of the common solvers."""
    return type(own).__name__ in _COMMON


def _only_own(own: Any, sampler: str | None, schedule: str | None) -> Any:
    if sampler not in (None, "euler") or schedule not in (None, "normal", "simple"):
        raise BadInput(
            "This model is solved by a solver of its own only. Leave the sampler at 'euler' and the schedule at "
            "'normal', which leave it as it is."
        )
    return own
