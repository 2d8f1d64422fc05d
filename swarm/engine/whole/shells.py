"""A pipeline object of its own for each run, over the shared weights: schedulers and flags are never shared."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import diffusers
from diffusers.pipelines.auto_pipeline import (
    AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
    AUTO_INPAINT_PIPELINES_MAPPING,
    _get_task_class,
)

from swarm.base.errors import BadInput
from swarm.engine.whole.going_on import WanGoingOn, pipeline_going_on, scheduler_going_on, sees_pictures
from swarm.engine.whole.solvers import set_out
from swarm.engine.whole.walking import Walking
from swarm.engine.whole.way import handover
from swarm.engine.whole.wish import Wish

_FROM_PICTURE = ("Img2Img", "ImageToImage", "ImageToVideo", "Image2Video")
_BESIDE_NOISE = ("WanImageToVideo", "CogVideoXImageToVideo", "HunyuanVideoImageToVideo")
_FILLING = ("Inpaint", "Fill")
_NO_PICTURE = "This model cannot start from a picture: diffusers has no such pipeline for it. Remove the init image."
_NO_FILM = (
    "This video model cannot make a video anew: diffusers has no such pipeline for it. Set the Video2Video Creativity "
    "to 1, or choose a text-to-video model of Wan 2.1 or CogVideoX as video model."
)
_NO_MASK = "This model cannot fill a masked area: diffusers has no such pipeline for it. Remove the mask."


def shell_for(pipe: Any, wish: Wish, exchange: Callable[[Any, Any], Any]) -> Any:
    """The pipeline that makes `wish` out of `pipe`'s weights. `exchange(kind, scheduler)`: what becomes of each.

    Raises BadInput where the family has no pipeline for it.
    """
    kind = _kind(pipe, wish)
    parts = {name: part for name, part in pipe.components.items() if name in signature(kind.__init__).parameters}
    for name, part in parts.items():
        if hasattr(part, "set_timesteps") and hasattr(part, "step"):
            parts[name] = exchange(kind, scheduler_going_on(kind, part))
    settings = _settings(pipe, kind, parts)
    if wish.swap_share is not None and parts.get("transformer_2") is not None:
        settings["boundary_ratio"] = _boundary(parts["scheduler"], wish)
    made = kind(**parts, **settings)
    if isinstance(made, WanGoingOn):
        made.before = wish.before
    made.set_progress_bar_config(disable=True)
    _tell(made, wish)
    set_out(made)
    return made


def _tell(made: Any, wish: Wish) -> None:
    """What some pipelines are not told by their call: how strongly to guide, and which size to choose one near."""
    if hasattr(made, "guider"):
        made.guider = made.guider.new(guidance_scale=wish.cfg)
    if hasattr(made, "target_size"):
        made.target_size = round((wish.width * wish.height) ** 0.5)


def _boundary(scheduler: Any, wish: Wish) -> float:
    """The noise level below which the second model takes over, so that it gets its share of the steps."""
    assert wish.swap_share is not None
    whole = float(scheduler.config.num_train_timesteps)
    if isinstance(scheduler, Walking):
        return scheduler.swapped_below(wish.steps) / whole
    kind: Any = type(scheduler).__mro__[1]  # the same without a watch
    probe = kind.from_config(scheduler.config)
    probe.set_timesteps(wish.steps)
    times = [float(time) for time in probe.timesteps]
    first = handover(len(times), wish.swap_share)
    before = times[first - 1] if first > 0 else whole + 1.0
    after = times[first] if first < len(times) else -1.0
    return (before + after) / 2.0 / whole


def _settings(pipe: Any, kind: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """What the class is told besides modules, as the loaded pipeline was."""
    known = signature(kind.__init__).parameters
    return {
        name: value
        for name, value in pipe.config.items()
        if name in known and name not in parts and not isinstance(value, list | tuple)
    }


def _kind(pipe: Any, wish: Wish) -> Any:
    own = type(pipe)
    if len(wish.before) > 1:
        return pipeline_going_on(pipe)
    if wish.film:
        return _reworking(pipe)
    takes = signature(own.__call__).parameters
    if wish.mask is not None and wish.image is not None:
        if "mask_image" in takes:
            return own
        return _other(pipe, AUTO_INPAINT_PIPELINES_MAPPING, _FILLING, "mask_image", _NO_MASK)
    if "image" in takes:
        if wish.image is None and takes["image"].default is takes["image"].empty:
            raise BadInput("This model starts from a picture. Give it one as init image.")
        if "mask_image" not in takes:
            return own
    if wish.image is not None:
        return _other(
            pipe, AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, _FROM_PICTURE, "image", getattr(pipe, "blind", _NO_PICTURE)
        )
    return own


def _reworking(pipe: Any) -> Any:
    """The sibling that makes a clip anew. Raises BadInput where there is none."""
    stem = type(pipe).__name__.removesuffix("Pipeline")
    kind = getattr(diffusers, f"{stem}VideoToVideoPipeline", None)
    whole = getattr(pipe, "transformer_2", None) is None and not pipe.config.get("expand_timesteps")
    if kind is None or not whole or not _fits(pipe, kind):
        raise BadInput(_NO_FILM)
    return kind


def _other(pipe: Any, mapping: Any, words: tuple[str, ...], argument: str, refusal: str) -> Any:
    """The sibling of a pipeline class for another task: as diffusers' tables know it, else by its name."""
    own = type(pipe)
    found = _get_task_class(mapping, own.__name__, throw_error_if_not_exist=False)
    stem = own.__name__.removesuffix("Pipeline")
    names = (f"{stem}{word}Pipeline" for word in words)
    for kind in (found, *(getattr(diffusers, name, None) for name in names)):
        if kind is not None and argument in signature(kind.__call__).parameters and _fits(pipe, kind):
            return kind
    raise BadInput(refusal)


def _fits(pipe: Any, kind: Any) -> bool:
    """Whether the sibling needs nothing that the loaded pipeline does not have, and its network sees pictures."""
    has = set(signature(type(pipe).__init__).parameters)
    needs = signature(kind.__init__).parameters.values()
    if not all(one.name in has or one.default is not one.empty for one in needs):
        return False
    return not kind.__name__.startswith(_BESIDE_NOISE) or sees_pictures(pipe)
