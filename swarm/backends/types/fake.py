"""Pictures without a device: the same for the same seed, and failures on request. For tests, benchmarks and UI work.

Words in a prompt make it misbehave: `fake-fail` refuses the job, `fake-crash` takes the backend down, `fake-redirect`
gives the job back once, `fake-hang` never ends by itself, `fake-draft` hands out an intermediate picture first,
`fake-extra` one picture more than was asked for. A model whose companion is named `fake-torn` cannot be loaded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import anyio

from swarm.backends.backend import BackendContext, BackendType, setting
from swarm.base.errors import BackendError, Crashed, Redirect, Refused
from swarm.features.core import PROMPT, STEPS
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Picture, Pixels

_PREVIEW_SIDE = 16


@dataclass(frozen=True, kw_only=True)
class FakeSettings:
    """How the fake behaves."""

    step_milliseconds: int = setting(0, "How long each step takes.")
    load_milliseconds: int = setting(0, "How long loading a model takes.")
    start_milliseconds: int = setting(0, "How long starting takes.")
    max_usages: int = setting(4, "How many jobs it works on at once.")
    preview_kilobytes: int = setting(0, "Previews are filled up to this size.")
    fail_start: str = setting("", "When not empty, starting fails with this sentence.")
    fail_load: str = setting("", "When not empty, loading any model fails with this sentence.")
    fail_with: str = setting("", "When not empty, every job fails with this sentence.")
    features: str = setting("comfyui,variation_seed,endstepsearly", "Feature flags it claims, with commas between.")
    auto_restart: bool = setting(True, "Start again after a crash.")


class FakeBackend:
    """Makes colour gradients. Everything it does is cancelled at the next await."""

    def __init__(self, context: BackendContext, settings: FakeSettings) -> None:
        self._settings = settings
        self._lost: Callable[[str], None] | None = None
        self._redirected: set[str] = set()
        self._model: str | None = None
        self.model_names: dict[str, frozenset[str]] | None = None

    @property
    def features(self) -> frozenset[str]:
        return frozenset(filter(None, self._settings.features.split(",")))

    @property
    def max_usages(self) -> int:
        return self._settings.max_usages

    @property
    def current_model(self) -> str | None:
        return self._model

    async def start(self, lost: Callable[[str], None]) -> None:
        await anyio.sleep(self._settings.start_milliseconds / 1000)
        if self._settings.fail_start:
            raise BackendError(self._settings.fail_start)
        self._lost = lost

    async def stop(self) -> None:
        self._lost = None

    async def load(self, model: ModelFile) -> None:
        await anyio.sleep(self._settings.load_milliseconds / 1000)
        if self._settings.fail_load:
            raise BackendError(self._settings.fail_load)
        if any("fake-torn" in part.name for _, part in model.companions):
            raise BackendError("A file that completes the model is torn.")
        self._model = model.name

    async def free(self, *, system_ram: bool) -> bool:
        freed, self._model = self._model is not None, None
        return freed

    async def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        await self._misbehave(job)
        total = max(1, job.input.get(STEPS))
        for done in range(1, total + 1):
            await anyio.sleep(self._settings.step_milliseconds / 1000)
            fraction = done / total
            yield StepDone(done=done, total=total, overall=fraction, current=fraction)
            if job.wants_previews:
                for index, seed in enumerate(job.seeds):
                    small = gradient(seed, _PREVIEW_SIDE, _PREVIEW_SIDE, fraction)
                    picture = as_png(small, filling=self._settings.preview_kilobytes * 1000)
                    yield Preview(index=index, picture=picture, overall=fraction, current=fraction)
        width, height, prompt = job.input.get(WIDTH), job.input.get(HEIGHT), job.input.get(PROMPT)
        if "fake-draft" in prompt:
            yield ImageDone(index=0, result=gradient(job.seeds[0], width, height, 0.5), seconds=0.0, real=False)
        extra = (job.seeds[-1] + 1,) if "fake-extra" in prompt else ()
        for index, seed in enumerate((*job.seeds, *extra)):
            pixels = gradient(seed, width, height)
            yield ImageDone(index=index, result=pixels, seconds=total * self._settings.step_milliseconds / 1000)

    async def _misbehave(self, job: Job) -> None:
        """What the settings or words in the prompt ask for."""
        prompt = job.input.get(PROMPT)
        await anyio.sleep(0)
        if "fake-crash" in prompt:
            if self._lost is not None:
                self._lost("The fake backend was asked to crash.")
            raise Crashed("The fake backend was asked to crash.")
        if "fake-redirect" in prompt and job.id not in self._redirected:
            self._redirected.add(job.id)
            raise Redirect("The fake backend was asked to give the job back.")
        if "fake-hang" in prompt:
            await anyio.sleep_forever()
        if "fake-fail" in prompt or self._settings.fail_with:
            raise Refused(self._settings.fail_with or "The fake backend was asked to fail.")


def gradient(seed: int, width: int, height: int, brightness: float = 1.0) -> Pixels:
    """A top-to-bottom blend of two colours that follow from the seed. `brightness`: 0 to 1."""
    mixed = zlib.crc32(str(seed).encode()).to_bytes(4, "big") + zlib.adler32(str(seed).encode()).to_bytes(4, "big")
    top, bottom = mixed[:3], mixed[4:1:-1]
    rows = []
    for y in range(height):
        part = y / max(1, height - 1)
        colour = bytes(round((a + (b - a) * part) * brightness) for a, b in zip(top, bottom, strict=True))
        rows.append(colour * width)
    return Pixels(width=width, height=height, mode="RGB", data=b"".join(rows))


def as_png(pixels: Pixels, *, filling: int = 0) -> Picture:
    """RGB pixels as a PNG file, without a library. `filling`: bytes of a chunk that means nothing to anybody."""
    stride = pixels.width * 3
    lines = b"".join(b"\0" + pixels.data[y * stride : (y + 1) * stride] for y in range(pixels.height))
    header = struct.pack(">IIBBBBB", pixels.width, pixels.height, 8, 2, 0, 0, 0)
    filled = ((b"fiLl", bytes(filling)),) if filling else ()
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), *filled, (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return Picture(data=data, mime="image/png")


FAKE = BackendType(
    id="fake",
    label="Fake Backend",
    description="Makes colour gradients without a device. For tests.",
    settings=FakeSettings,
    make=FakeBackend,
    standard=False,
    fast=True,
    hidden=True,
)
