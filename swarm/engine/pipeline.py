"""The other tier: any pipeline diffusers knows, called whole, one picture or clip at a time.

Progress, previews and cancelling hang on the scheduler (engine/whole/watching.py); each call has a pipeline object and
schedulers of its own over the shared weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from PIL import Image

from swarm.base.errors import BadInput
from swarm.engine.compiling import Regions
from swarm.engine.decode import as_pixels
from swarm.engine.device import Device
from swarm.engine.live import LiveJob
from swarm.engine.making import BASE_SECTIONS, base_pass
from swarm.engine.memory import model_of
from swarm.engine.runner import Methods
from swarm.engine.shot import Shot
from swarm.engine.whole.arguments import arguments_for
from swarm.engine.whole.caching import blocks_left_out
from swarm.engine.whole.changing import changing, share_behind
from swarm.engine.whole.compiled import blocks_compiled
from swarm.engine.whole.folders import (
    ROOM_TO_WORK,
    load_folder,
    refuse_too_big,
    refuse_too_long,
    settle_pipeline,
    weight_bytes,
)
from swarm.engine.whole.going_on import joined, last_frames, shared_frames
from swarm.engine.whole.loras import Key, key_of, put_in, take_out
from swarm.engine.whole.previews import Shown
from swarm.engine.whole.prompting import Heard, prepared
from swarm.engine.whole.results import result_of
from swarm.engine.whole.shells import shell_for
from swarm.engine.whole.singles import load_single
from swarm.engine.whole.solvers import Solvers
from swarm.engine.whole.vaes import put_in_vae
from swarm.engine.whole.watching import Cancelled, Watch
from swarm.engine.whole.wish import Wish, base_wish, wish_of
from swarm.features.core import STEPS
from swarm.features.image_to_video import VIDEO_MODEL, VIDEO_VIDEO_CREATIVITY, filming_pass
from swarm.features.init_image import INIT_IMAGE_CREATIVITY
from swarm.features.previews import TINY_VAE, TINY_VIDEO_VAE
from swarm.features.refiner import OUTPUT_INTERMEDIATE_IMAGES
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.video import ANIMATE, TEXT_VIDEO_FRAMES, VIDEO_FPS, VIDEO_PREVIEW_TYPE, finished_clip
from swarm.features.video_extend import (
    VIDEO_EXTEND_FRAME_OVERLAP,
    VIDEO_EXTEND_MODEL,
    extending_pass,
    extensions,
    sized,
)
from swarm.jobs.acts import Film
from swarm.jobs.events import LoadingModel
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.stage import Pass
from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels, from_pillow, to_pillow

__all__ = ["Cancelled", "WholePipelines"]

Parts: TypeAlias = Mapping[str, ModelFile]
FilesKey: TypeAlias = tuple[tuple[str, str, str], ...]

_ROOM_FOR_BOTH = 0.3
"""The share of the device's memory that must be free for a whole pipeline to stay beside other models."""

_NO_SUCH_SCHEDULE = "does not support custom"


def files_key(file: ModelFile, parts: Parts) -> FilesKey:
    """Equal keys are the same files, unchanged."""
    others = ((slot, str(part.path), part.stamp) for slot, part in sorted(parts.items()))
    return (("", str(file.path), file.stamp), *others)


@dataclass(kw_only=True, eq=False)
class Held:
    """A loaded pipeline. `loras`: what is in its weights now. `shown`: its previews, made when first wanted.
    `heard`: its encoded prompts. `regions`: its compiled blocks, as the weights are now."""

    key: FilesKey
    pipe: Any
    takes_turns: bool
    loras: Key = ()
    shown: Shown | None = None
    heard: Heard = field(default_factory=OrderedDict)
    regions: Regions = field(default_factory=Regions)


@dataclass(frozen=True, kw_only=True)
class Told:
    """Whom a run tells what. `preview` is called when `wants_preview` says so; `preview_type`: how clips are shown;
    `tiny`: the decoder file they are shown by."""

    stepped: Callable[[int, int], None]
    is_cancelled: Callable[[], bool]
    wants_preview: Callable[[], bool]
    preview: Callable[[Picture], None]
    preview_type: str = ANIMATE
    tiny: ModelFile | None = None


class WholePipelines:
    """Holds the one pipeline that was used last."""

    def __init__(
        self,
        device: Device,
        methods: Methods,
        cancelled: Container[str] = frozenset(),
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        """`cancelled`: ids of jobs nobody waits for. `make_room`: has the other tier give its memory back."""
        self._device = device
        self._methods = methods
        self._cancelled = cancelled
        self._make_room = make_room
        self._held: Held | None = None

    def is_ready(self, file: ModelFile, parts: Parts) -> bool:
        return self._held is not None and self._held.key == files_key(file, parts)

    def drop(self) -> bool:
        """Unload; True if there was something."""
        held, self._held = self._held, None
        self._device.give_back()
        return held is not None

    @property
    def regions(self) -> Regions:
        """The blocks of the loaded pipeline that are compiled, or to be."""
        return Regions() if self._held is None else self._held.regions

    def step_aside(self) -> None:
        """Something else is about to be loaded: unload, unless there is room for both."""
        if self._held is not None and self._device.free_memory() < self._device.memory * _ROOM_FOR_BOTH:
            self.drop()

    def ready(self, file: ModelFile, parts: Parts) -> Any:
        """A model's pipeline. Raises BadInput when diffusers cannot load it, Refused when it is too large."""
        return self._ready(file, parts).pipe

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
                preview_type=job.input.get(VIDEO_PREVIEW_TYPE),
                tiny=job.files.get(TINY_VAE),
            )
            loras = tuple(use for use in job.loras if use.section in BASE_SECTIONS)
            result = self.make(model_of(job), job.parts, wish, loras, told)
            if job.input.has(VIDEO_MODEL):
                result = self._by_video_model(live, index, result, told)
            live.image(index, self._extended(live, index, result, told))

    def _by_video_model(self, live: LiveJob, index: int, result: Pixels | Clip, told: Told) -> Pixels | Clip:
        """What the video model makes of the base model's picture, of its clip, or of the first frame of that."""
        job, input = live.job, live.job.input
        of = filming_pass(base_pass(job, index, ()), job, result.width, result.height)
        if input.get(OUTPUT_INTERMEDIATE_IMAGES):
            live.extra(index, result)
        told = replace(told, stepped=_after(live, index, live.steps_of(index)), tiny=job.files.get(TINY_VIDEO_VAE))
        creativity = input.get(VIDEO_VIDEO_CREATIVITY)
        if isinstance(result, Pixels) or creativity >= 1:
            return self._filmed(of, result if isinstance(result, Pixels) else result.frame(0), told)
        of = of.with_input(of.input.having(INIT_IMAGE_CREATIVITY, creativity))
        film = last_frames(result, result.count, (of.input.get(WIDTH), of.input.get(HEIGHT)))
        return (
            result
            if creativity == 0
            else self.make(of.model, of.parts, wish_of(of.input, of.seed, film=film), of.loras, told)
        )

    def _extended(self, live: LiveJob, index: int, result: Pixels | Clip, told: Told) -> Pixels | Clip:
        """Made as much longer as the prompt says, trimmed and turned."""
        job, base = live.job, base_pass(live.job, index, ())
        overlap = job.input.get(VIDEO_EXTEND_FRAME_OVERLAP)
        for number in range(len(extensions(job.input)) if job.input.has(VIDEO_EXTEND_MODEL) else 0):
            of = extending_pass(base, job, number)
            told = replace(told, stepped=_after(live, index, live.steps_of(index)), tiny=None)
            result = self._continued(of, result, overlap, told)
        return finished_clip(result, job.input)

    def film(self, shot: Shot, ask: Film) -> Pixels | Clip:
        """The clip that begins with a finished picture. Raises as `make`."""
        live, id = shot.live, shot.live.job.id
        told = Told(
            stepped=lambda done, _total: live.stepped(shot.index, shot.behind + done),
            is_cancelled=lambda: id in self._cancelled,
            wants_preview=lambda: live.wants_preview(shot.index),
            preview=lambda picture: live.preview(shot.index, picture),
            preview_type=ask.of.input.get(VIDEO_PREVIEW_TYPE),
            tiny=live.job.files.get(TINY_VIDEO_VAE) if ask.overlap is None else None,
        )
        first = as_pixels(ask.image[:, :3])[0] if ask.before is None else ask.before
        if not live.is_done:
            live.tell(LoadingModel(name=ask.of.model.name))
        if isinstance(first, Pixels) and ask.of.input.get(OUTPUT_INTERMEDIATE_IMAGES):
            live.extra(shot.index, first)
        if ask.overlap is not None:
            result: Pixels | Clip = self._continued(ask.of, first, ask.overlap, told)
        else:
            assert isinstance(first, Pixels)
            result = self._filmed(ask.of, first, told)
        shot.behind += ask.of.input.get(STEPS)
        return result

    def _filmed(self, of: Pass, first: Pixels, told: Told) -> Pixels | Clip:
        size = of.input.get(WIDTH), of.input.get(HEIGHT)
        image = to_pillow(first).convert("RGB").resize(size, Image.Resampling.LANCZOS)
        return self.make(of.model, of.parts, wish_of(of.input, of.seed, image=image), of.loras, told)

    def _continued(self, of: Pass, before: Pixels | Clip, overlap: int, told: Told) -> Clip:
        """The clip so far with what comes after it. Raises as `make`, and BadInput for an extension of no length."""
        if told.is_cancelled():
            raise Cancelled
        if isinstance(before, Pixels):
            data = to_pillow(before).convert("RGB").tobytes()
            before = Clip(width=before.width, height=before.height, fps=of.input.get(VIDEO_FPS), data=data)
        pipe = self._ready(of.model, of.parts).pipe
        shared = shared_frames(pipe, min(overlap, before.count), of.input.get(TEXT_VIDEO_FRAMES))
        of = sized(of, before.width, before.height)
        frames = last_frames(before, shared, (before.width, before.height))
        after = self.make(
            of.model, of.parts, wish_of(of.input, of.seed, image=frames[0], before=frames), of.loras, told
        )
        assert isinstance(after, Clip)
        return joined(before, after, shared)

    def make(self, file: ModelFile, parts: Parts, wish: Wish, loras: tuple[LoraUse, ...], told: Told) -> Pixels | Clip:
        """One picture or clip. Raises Cancelled, UserError, or what the pipeline raises."""
        if told.is_cancelled():
            raise Cancelled
        if wish.image is not None and wish.creativity == 0:
            return from_pillow(wish.image)
        held = self._ready(file, parts)
        self._with_loras(held, loras)
        watch = self._watch(held, told)
        solvers = Solvers(held.pipe, wish, self._methods, watch.watch, lambda: watch.given)
        wish = solvers.wish
        shell = shell_for(held.pipe, wish, solvers.scheduler)
        watch.watch.pipe = watch.pipe = shell
        told_so, changes = prepared(shell, wish, held.heard, held.loras)
        watch.given = arguments_for(shell, told_so)
        refuse_too_long(watch.given, self._device)
        try:
            with (
                self._compiled(held, shell, wish),
                blocks_left_out(shell, wish.input),
                solvers.listening(shell),
                changing(shell, changes, lambda: share_behind(shell, watch.watch.done)),
            ):
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
        return result_of(output, wish.fps)

    def _ready(self, file: ModelFile, parts: Parts) -> Held:
        key = files_key(file, parts)
        if self._held is not None and self._held.key == key:
            return self._held
        self.drop()
        dtype = torch.bfloat16 if self._device.is_cuda else torch.float32
        sizes = weight_bytes(file.path, dtype)
        for slot, part in parts.items():
            sizes[slot] = sum(weight_bytes(part.path, dtype).values())
        if sum(sizes.values()) * ROOM_TO_WORK > self._device.free_memory():
            self._make_room()
        takes_turns = refuse_too_big(file.name, sizes, self._device)
        pipe = load_folder(file.path, dtype) if file.path.is_dir() else load_single(file, parts, dtype, self._device)
        if file.path.is_dir() and "vae" in parts:
            put_in_vae(pipe, parts["vae"], dtype)
        settle_pipeline(pipe, self._device, takes_turns=takes_turns)
        self._held = Held(key=key, pipe=pipe, takes_turns=takes_turns, regions=Regions(file.name))
        return self._held

    def _with_loras(self, held: Held, uses: tuple[LoraUse, ...]) -> None:
        acting = tuple(use for use in uses if use.weight or use.text_weight)
        key = key_of(acting)
        if key == held.loras:
            return
        held.loras, held.regions = (), Regions(held.regions.name)
        if acting:
            put_in(held.pipe, acting)
        else:
            take_out(held.pipe)
        held.loras = key

    @staticmethod
    def _compiled(held: Held, shell: Any, wish: Wish) -> AbstractContextManager[None]:
        """Parts that come and go are not compiled: they rest where they do not run."""
        return nullcontext() if held.takes_turns else blocks_compiled(shell, held.regions, wish.input)

    def _watch(self, held: Held, told: Told) -> _Watching:
        watching = _Watching()

        def clean(latent: torch.Tensor) -> None:
            if held.shown is None:
                held.shown = Shown(held.pipe, self._device)
            picture = held.shown.picture(watching.pipe, latent, watching.given, how=told.preview_type, tiny=told.tiny)
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


def _after(live: LiveJob, index: int, before: int) -> Callable[[int, int], None]:
    """Progress of a clip that comes after the steps of its picture."""

    def stepped(done: int, total: int) -> None:
        live.began(index, before + total)
        live.stepped(index, before + done)

    return stepped


def _report(live: LiveJob, index: int, done: int, total: int) -> None:
    live.began(index, total)
    live.stepped(index, done)
