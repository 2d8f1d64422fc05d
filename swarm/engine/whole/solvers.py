"""Who solves a whole pipeline's walk: a sampler and a schedule of this program, or a scheduler of diffusers'."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule, ScheduleOptions
from swarm.engine.runner import Methods
from swarm.engine.whole.arguments import latent_cells, makes_clips
from swarm.engine.whole.levels import Usual, compat_of, levels_of, usual_of
from swarm.engine.whole.previews import unpacked
from swarm.engine.whole.schedulers import scheduler_for
from swarm.engine.whole.unguided import LEAST_GUIDANCE, Overheard
from swarm.engine.whole.walking import Walking, walking
from swarm.engine.whole.watching import Watch, watched
from swarm.engine.whole.way import Swap, Way
from swarm.engine.whole.wish import Wish
from swarm.features.sampling import (
    END_STEPS_EARLY,
    SAMPLER,
    SAMPLER_RHO,
    SAMPLER_SIGMA_MAX,
    SAMPLER_SIGMA_MIN,
    SCHEDULER,
)
from swarm.prompt.sections import Section

_PLAIN_USES = frozenset({
    "_internal_dict",
    "add_noise",
    "config",
    "init_noise_sigma",
    "num_inference_steps",
    "order",
    "scale_model_input",
    "scale_noise",
    "set_begin_index",
    "set_timesteps",
    "step",
    "timesteps",
})  # fmt: skip
"""What a pipeline may do with its scheduler and still be walked by another."""
_ONLY_SHOWS_SIGMAS = ("Wan", "CogView4", "GlmImage", "LTXConditionPipeline")
_USE = re.compile(r"scheduler\.(\w+)")
_COPIES = "deepcopy"
_PIECE_BY_PIECE = ("HunyuanVideoFramepackPipeline",)
"""Pipelines that walk down once for each piece of a clip."""
_OF_CLIPS = "ltxv-image"
"""The schedule that counts the places of all frames; others know pictures only."""


class Solvers:
    """Who solves one call of `pipe`. `given()`: what it is called with, once it is. `wish`: as it is to be made.

    Raises BadInput for a sampler or a schedule that there is not.
    """

    def __init__(self, pipe: Any, wish: Wish, methods: Methods, watch: Watch, given: Callable[[], Any]) -> None:
        self._pipe, self._watch, self._given = pipe, watch, given
        self._overheard = Overheard()
        self._own_habit = usual_of(pipe)
        usual = self._usual = self._own_habit or Usual()
        begins = makes_clips(pipe) and (wish.image is not None or bool(wish.before))
        schedule = wish.schedule or (begins and usual.schedule_from_picture) or usual.schedule
        self._sampler: Sampler = _known(methods.samplers, wish.sampler or usual.sampler, "sampler")
        self._schedule: Schedule = _known(methods.schedules, schedule, "schedule")
        self._swap = None if wish.swap_share is None else self._swapped(wish, methods, wish.swap_share)
        listens = self._sampler.wants_unguided or (self._swap is not None and self._swap.sampler.wants_unguided)
        self._listens = listens
        self.wish = replace(wish, cfg=max(wish.cfg, LEAST_GUIDANCE)) if listens else wish

    def _swapped(self, wish: Wish, methods: Methods, share: float) -> Swap:
        """The second model's part, solved as the first one's unless its section of the prompt says otherwise."""
        sampler, schedule = (wish.input.given_within(param, Section.VIDEO_SWAP) for param in (SAMPLER, SCHEDULER))
        return Swap(
            share=share,
            sampler=self._sampler if sampler is None else _known(methods.samplers, sampler, "sampler"),
            schedule=self._schedule if schedule is None else _known(methods.schedules, schedule, "schedule"),
        )

    def scheduler(self, kind: Any, own: Any) -> Any:
        """What becomes of `own`, one of the pipeline's schedulers, for a call of the pipeline class `kind`.

        Raises BadInput for a sampler or schedule that does not fit.
        """
        wish = self.wish
        levels = levels_of(own, self._usual, wish.shift) if _is_plain(kind) else None
        asked = wish.sampler is not None or wish.schedule is not None or wish.shift is not None
        if levels is None or not (asked or self._own_habit is not None):
            return watched(scheduler_for(own, wish.sampler, wish.schedule, wish.shift), self._watch)
        way = Way(
            sampler=self._sampler,
            schedule=self._schedule,
            options=self._options(),
            levels=levels,
            seed=wish.seed - wish.batch.ahead,
            batch=wish.batch,
            steps_left_out=_left_out(kind, wish),
            kept=lambda steps: int(steps * (1.0 - wish.input.get(END_STEPS_EARLY))),
            places=lambda shape: places_of(self._watch.pipe, shape, self._given()),
            unguided=self._overheard.unguided,
            swap=self._swap,
        )
        return walking(own, way, self._watch)

    def listening(self, shell: Any) -> AbstractContextManager[None]:
        """While it is entered, samplers that want to know what the negative prompt alone predicts are told."""
        return self._overheard.listening(shell) if self._listens else nullcontext()

    def _options(self) -> ScheduleOptions:
        input, usual = self.wish.input, self._usual
        low, high = input.given(SAMPLER_SIGMA_MIN), input.given(SAMPLER_SIGMA_MAX)
        return ScheduleOptions(
            sigma_min=usual.low if low is None else low,
            sigma_max=usual.high if high is None else high,
            rho=input.given(SAMPLER_RHO),
            compat=usual.compat or compat_of(self._pipe),
            cells=latent_cells(self._pipe, self.wish, all_frames=self._schedule.id == _OF_CLIPS),
        )


def set_out(shell: Any) -> None:
    """Have the pipeline begin where its scheduler does, with noise as strong as that says."""
    scheduler = getattr(shell, "scheduler", None)
    if not isinstance(scheduler, Walking):
        return
    takes = inspect.signature(shell.__call__).parameters
    if _begins_within(type(shell)):
        shell.get_timesteps = lambda *_args, **_more: (scheduler.timesteps, len(scheduler.timesteps))
    if "strength" in takes or not hasattr(shell, "prepare_latents") or _keeps_a_frame(shell):
        return
    prepare = shell.prepare_latents

    def prepared(*args: Any, **more: Any) -> Any:
        found = prepare(*args, **more)
        scheduler.drew(found[0] if isinstance(found, tuple) else found)
        return found

    shell.prepare_latents = prepared


def _keeps_a_frame(shell: Any) -> bool:
    """Whether the first frame of what it begins with is no noise."""
    return type(shell).__name__ == "LTXImageToVideoPipeline"


def _begins_within(kind: Any) -> bool:
    """Whether a pipeline class can begin within the walk, from a picture or a film."""
    takes = inspect.signature(kind.__call__).parameters
    return "strength" in takes and "denoise_strength" not in takes and hasattr(kind, "get_timesteps")


@cache
def _is_plain(kind: Any) -> bool:
    """Whether a pipeline class does nothing with its scheduler but step it through its timesteps."""
    classes = [each for each in kind.__mro__ if each.__module__.startswith("diffusers.pipelines.")]
    text = "".join(inspect.getsource(each) for each in classes if "pipeline_utils" not in each.__module__)
    shows = kind.__mro__[0].__name__.startswith(_ONLY_SHOWS_SIGMAS)
    uses = set(_USE.findall(text)) - _PLAIN_USES - ({"sigmas"} if shows else set())
    own_start = "strength" in inspect.signature(kind.__call__).parameters and not hasattr(kind, "get_timesteps")
    whole = kind.__name__ not in _PIECE_BY_PIECE
    return whole and not uses and _COPIES not in text and not own_start


def _known(among: Any, id: str, what: str) -> Any:
    if id not in among:
        raise BadInput(f"There is no {what} '{id}'.")
    return among[id]


def _left_out(kind: Any, wish: Wish) -> Callable[[int], int]:
    """How many steps a picture or film to start from leaves out, where the pipeline can begin in the middle."""
    begins = (wish.image is not None and not wish.before) or bool(wish.film)
    creativity = 1.0 if wish.creativity is None else wish.creativity
    if not begins or not _begins_within(kind):
        return lambda _steps: 0
    return lambda steps: round(steps * (1.0 - creativity))


def places_of(pipe: Any, shape: tuple[int, ...], given: Any) -> torch.Tensor | None:
    """As `Way.places`: pipelines keep the latents of pictures as tokens, or go on without a frame they are given."""
    count = prod(shape)
    numbers = torch.arange(count, dtype=torch.float64).reshape(shape)
    if len(shape) == 5 and _keeps_a_frame(pipe):
        return torch.cat([torch.full_like(numbers[:, :, :1], -1.0), numbers], dim=2).long()
    found = unpacked(pipe, numbers, given) if len(shape) == 3 else None
    if found is None or found.numel() != count:
        return None
    places = found.long()
    return places if torch.equal(places.flatten().sort().values, torch.arange(count)) else None
