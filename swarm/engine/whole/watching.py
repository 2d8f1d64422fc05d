"""Schedulers that say what happens: every pipeline steps one, whether or not it has a callback of its own.

Progress, the clean picture each step predicts, and cancelling all hang on the scheduler's `step`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from inspect import signature
from typing import Any

import torch

from swarm.base.errors import SwarmError


class Cancelled(SwarmError):
    """Nobody waits for the job any more."""


class Watch:
    """What is told between the steps of a run. `clean(latent)` is called only when `wants_clean` says so.

    `pipe`: the pipeline that runs; it knows how many steps a picture to start from leaves.
    """

    def __init__(
        self,
        *,
        stepped: Callable[[int, int], None],
        is_cancelled: Callable[[], bool],
        wants_clean: Callable[[], bool],
        clean: Callable[[torch.Tensor], None],
    ) -> None:
        self.done = 0
        self.pipe: Any = None
        self._stepped = stepped
        self._is_cancelled = is_cancelled
        self._wants_clean = wants_clean
        self._clean = clean

    def __deepcopy__(self, memo: dict[int, Any]) -> Watch:
        """Pipelines copy schedulers; the run stays the same."""
        return self

    def after(self, scheduler: Any, said: Any, sample: Any, result: Any) -> None:
        """A step is done. Raises Cancelled."""
        self.done += 1
        planned = getattr(self.pipe, "_num_timesteps", None) or len(scheduler.timesteps)
        self._tell(self.done, max(self.done, planned), lambda: predicted(scheduler, said, sample, result))

    def walked(self, done: int, total: int, clean: torch.Tensor) -> None:
        """The network has answered, and so many steps are done. `clean`: what it predicts. Raises Cancelled."""
        self.done = done
        self._tell(done, total, lambda: clean)

    def _tell(self, done: int, total: int, clean: Callable[[], torch.Tensor | None]) -> None:
        if self._is_cancelled():
            raise Cancelled
        self._stepped(done, total)
        if self._wants_clean() and (latent := clean()) is not None:
            self._clean(latent)


def watched(scheduler: Any, watch: Watch) -> Any:
    """A scheduler of the same settings and its own state, which tells `watch` of its steps."""
    made = type(scheduler).from_config(scheduler.config)
    made.__class__ = _watched_class(type(scheduler))  # type: ignore[arg-type]
    made.watch = watch
    return made


@cache
def _watched_class(base: Any) -> Any:
    told = [name for name in ("model_output", "sample") if name in signature(base.step).parameters]

    @wraps(base.step)
    def step(self: Any, *args: Any, **more: Any) -> Any:
        given = signature(base.step).bind(self, *args, **more).arguments
        said, sample = (given.get(name) if name in told else None for name in ("model_output", "sample"))
        result = base.step(self, *args, **more)
        if given.get("per_token_timesteps") is not None and said is not None:
            said = -said  # such steps are told the other sign
        self.watch.after(self, said, sample, result)
        return result

    # The same name: pipelines and configs go by it.
    return type(base.__name__, (base,), {"step": step, "__module__": base.__module__})


def predicted(scheduler: Any, said: Any, sample: Any, result: Any) -> torch.Tensor | None:
    """The clean latent the last step predicted, None where the scheduler does not tell (PNDM)."""
    parts = result if isinstance(result, tuple) else tuple(result.values())
    if len(parts) > 1 and isinstance(parts[1], torch.Tensor) and parts[1].shape == parts[0].shape:
        return parts[1]
    kept = getattr(scheduler, "model_outputs", None)
    if kept and isinstance(kept[-1], torch.Tensor) and _keeps_clean(scheduler):
        return kept[-1]
    if type(scheduler).__name__.startswith("FlowMatch") and isinstance(said, torch.Tensor):
        index = scheduler.step_index
        if index is not None and isinstance(sample, torch.Tensor):
            sigma = scheduler.sigmas[max(0, index - 1)].to(sample.device)
            return sample.float() - sigma * said.float()
    return None


def _keeps_clean(scheduler: Any) -> bool:
    """Whether the outputs a multistep solver remembers are predictions of the clean latent."""
    config = scheduler.config
    return bool(config.get("predict_x0", False)) or str(config.get("algorithm_type", "")).endswith("++")
