"""The other tier: any pipeline diffusers knows, called whole, one picture or clip at a time.

Progress, previews and cancelling hang on the scheduler (engine/whole/watching.py); each call has a pipeline object and
schedulers of its own over the shared weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.live import LiveJob
from swarm.engine.making import BASE_SECTIONS
from swarm.engine.memory import model_of
from swarm.engine.whole.arguments import arguments_for
from swarm.engine.whole.folders import load_folder, refuse_too_big, settle_pipeline, weight_bytes
from swarm.engine.whole.loras import Key, key_of, put_in, take_out
from swarm.engine.whole.previews import Shown
from swarm.engine.whole.results import result_of
from swarm.engine.whole.schedulers import scheduler_for
from swarm.engine.whole.shells import shell_for
from swarm.engine.whole.watching import Cancelled, Watch, watched
from swarm.engine.whole.wish import Wish, base_wish
from swarm.features.video import finished_clip
from swarm.jobs.job import LoraUse, ModelFile
from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels, from_pillow

__all__ = ["Cancelled", "WholePipelines"]

_NO_SUCH_SCHEDULE = "does not support custom"


@dataclass(kw_only=True, eq=False)
class Held:
    """A loaded pipeline. `loras`: what is in its weights now. `shown`: its previews, made when first wanted."""

    file: ModelFile
    pipe: Any
    takes_turns: bool
    loras: Key = ()
    shown: Shown | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """Whom a run tells what. `preview` is called when `wants_preview` says so."""

    stepped: Callable[[int, int], None]
    is_cancelled: Callable[[], bool]
    wants_preview: Callable[[], bool]
    preview: Callable[[Picture], None]


class WholePipelines:
    """Holds the one pipeline that was used last."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._held: Held | None = None

    def is_ready(self, file: ModelFile) -> bool:
        return self._held is not None and self._held.file == file

    def drop(self) -> bool:
        """Unload; True if there was something."""
        held, self._held = self._held, None
        self._device.give_back()
        return held is not None

    def ready(self, file: ModelFile) -> Any:
        """The pipeline of a folder. Raises BadInput when diffusers cannot load it, Refused when it is too large."""
        return self._ready(file).pipe

    def run(self, live: LiveJob, is_cancelled: Callable[[], bool]) -> None:
        """Make all pictures of a job. Raises Cancelled, UserError, or what the pipeline raises."""
        job = live.job
        for index in range(len(job.seeds)):
            wish = base_wish(job, index)
            live.began(index, wish.steps)
            told = Told(
                stepped=lambda done, total, index=index: _report(live, index, done, total),  # type: ignore[misc]
                is_cancelled=is_cancelled,
                wants_preview=lambda index=index: live.wants_preview(index),  # type: ignore[misc]
                preview=lambda picture, index=index: live.preview(index, picture),  # type: ignore[misc]
            )
            loras = tuple(use for use in job.loras if use.section in BASE_SECTIONS)
            live.image(index, self.make(model_of(job), wish, loras, told))

    def make(self, file: ModelFile, wish: Wish, loras: tuple[LoraUse, ...], told: Told) -> Pixels | Clip:
        """One picture or clip. Raises Cancelled, UserError, or what the pipeline raises."""
        if told.is_cancelled():
            raise Cancelled
        if wish.image is not None and wish.creativity == 0:
            return from_pillow(wish.image)
        held = self._ready(file)
        self._with_loras(held, loras)
        watch = self._watch(held, told)
        shell = shell_for(
            held.pipe, wish, lambda own: watched(scheduler_for(own, wish.sampler, wish.schedule), watch.watch)
        )
        watch.pipe, watch.given = shell, arguments_for(shell, wish)
        try:
            output = shell(**watch.given)
        except ValueError as error:
            if _NO_SUCH_SCHEDULE in str(error):
                raise BadInput(
                    f"The sampler '{wish.sampler}' cannot follow this model's own schedule. Choose 'euler'."
                ) from None
            raise
        finally:
            if held.takes_turns:
                held.pipe.maybe_free_model_hooks()
        result = result_of(output, wish.fps)
        return finished_clip(result, wish.input) if isinstance(result, Clip) else result

    def _ready(self, file: ModelFile) -> Held:
        if self._held is not None and self._held.file == file:
            return self._held
        self.drop()
        dtype = torch.bfloat16 if self._device.is_cuda else torch.float32
        takes_turns = refuse_too_big(file.name, weight_bytes(file.path, dtype), self._device)
        pipe = load_folder(file.path, dtype)
        settle_pipeline(pipe, self._device, takes_turns=takes_turns)
        self._held = Held(file=file, pipe=pipe, takes_turns=takes_turns)
        return self._held

    def _with_loras(self, held: Held, uses: tuple[LoraUse, ...]) -> None:
        acting = tuple(use for use in uses if use.weight or use.text_weight)
        key = key_of(acting)
        if key == held.loras:
            return
        held.loras = ()
        if acting:
            put_in(held.pipe, acting)
        else:
            take_out(held.pipe)
        held.loras = key

    def _watch(self, held: Held, told: Told) -> _Watching:
        watching = _Watching()

        def clean(latent: torch.Tensor) -> None:
            if held.shown is None:
                held.shown = Shown(held.pipe)
            picture = held.shown.picture(watching.pipe, latent, watching.given)
            if picture is not None:
                told.preview(picture)

        watching.watch = Watch(
            stepped=told.stepped, is_cancelled=told.is_cancelled, wants_clean=told.wants_preview, clean=clean
        )
        return watching


@dataclass(kw_only=True, eq=False)
class _Watching:
    """A watch, and the call it watches, known only after the schedulers that it watches."""

    watch: Any = None
    pipe: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)


def _report(live: LiveJob, index: int, done: int, total: int) -> None:
    live.began(index, total)
    live.stepped(index, done)
