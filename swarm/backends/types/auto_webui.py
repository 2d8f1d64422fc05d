"""Stable Diffusion WebUI (A1111) by its address (swarm-models-backends 8.1), with progress and interruption."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import anyio

from swarm.backends.aside import Aside
from swarm.backends.backend import BackendContext, BackendType, setting
from swarm.backends.peer import Peer, Unreachable
from swarm.base.errors import BackendError, Crashed, UserError
from swarm.base.json import Json
from swarm.base.tasks import to_thread
from swarm.features.autowebui import AUTO_WEBUI_SAMPLER
from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.mask import MASK_BLUR, MASK_IMAGE
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.variation import VARIATION_SEED, VARIATION_SEED_STRENGTH
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Picture, Pixels, decode
from swarm.prompt.sections import split_sections

START_SECONDS = 30.0
PROGRESS_SECONDS = 0.5
STOP_SECONDS = 5.0
_HASH = re.compile(r" \[[0-9a-f]+\]$")
_EMBED = re.compile(r"<embed(?:ding)?:([^>]+)>")


@dataclass(frozen=True, kw_only=True)
class WebUiSettings:
    """Where the WebUI is; it must run with `--api`."""

    address: str = setting("", "Base address of the WebUI.", placeholder="http://127.0.0.1:7860")
    authorization_header: str = setting("", "Whole value of the Authorization header, if one is needed.", secret=True)


class WebUiBackend:
    """One WebUI, which works on one job at a time."""

    def __init__(self, context: BackendContext, settings: WebUiSettings) -> None:
        self._context = context
        self._settings = settings
        self._lost: Callable[[str], None] | None = None
        self._model: str | None = None
        self._samplers: tuple[str, ...] = ()
        self.features = frozenset({"variation_seed", "autowebui"})
        self.max_usages = 1
        self.model_names: dict[str, frozenset[str]] | None = None

    @property
    def current_model(self) -> str | None:
        return self._model

    async def start(self, lost: Callable[[str], None]) -> None:
        secret = self._settings.authorization_header.strip()
        headers = {"Authorization": secret} if secret else {}
        self._peer = Peer(self._context.world.outgoing, self._settings.address, headers)
        options = await self._call("GET", "options", seconds=START_SECONDS)
        title = options.get("sd_model_checkpoint") if isinstance(options, dict) else None
        self._model = _bare(title) if isinstance(title, str) and title else None
        self._samplers = tuple(_names(await self._call("GET", "samplers", seconds=START_SECONDS), "name"))
        self._lost = lost

    async def stop(self) -> None:
        self._lost = None

    async def load(self, model: ModelFile) -> None:
        titles = list(_names(await self._call("GET", "sd-models", seconds=START_SECONDS), "title"))
        found = matching_title(titles, model.name)
        if found is None:
            raise BackendError(f"The WebUI does not have the model '{model.name}'.")
        await self._call("POST", "options", {"sd_model_checkpoint": found})
        self._model = model.name

    async def free(self, *, system_ram: bool) -> bool:
        await self._call("POST", "unload-checkpoint", {})
        self._model = None
        return True

    async def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        body = self._body(job)
        began = time.monotonic()
        route = "img2img" if "init_images" in body else "txt2img"
        aside = Aside(self._context.relations, self._call("POST", route, body))
        is_over = False
        try:
            while not await aside.is_done_within(PROGRESS_SECONDS):
                for event in await self._progress(job):
                    yield event
            is_over = True
        finally:
            if not is_over:
                aside.cancel()
                await self._interrupt()
        try:
            answer = aside.result()
        except Unreachable as error:
            if self._lost is not None:
                self._lost(error.sentence)
            raise Crashed(error.sentence) from None
        images = answer.get("images") if isinstance(answer, dict) else None
        for index, image in enumerate((images or ())[: len(job.seeds)]):
            yield ImageDone(index=index, result=await _pixels(image), seconds=time.monotonic() - began)

    async def _progress(self, job: Job) -> list[BackendEvent]:
        """What it says of the job now; nothing when it does not say."""
        try:
            state = await self._call("GET", "progress?skip_current_image=false", seconds=STOP_SECONDS)
        except BackendError:
            return []
        if not isinstance(state, dict) or not isinstance(state.get("progress"), int | float):
            return []
        done = min(1.0, max(0.0, float(state["progress"])))
        inner = state.get("state")
        step = int(inner.get("sampling_step") or 0) if isinstance(inner, dict) else 0
        events: list[BackendEvent] = [
            StepDone(done=step, total=max(1, job.input.get(STEPS)), overall=done, current=done)
        ]
        image = state.get("current_image")
        if job.wants_previews and isinstance(image, str) and image:
            with suppress(binascii.Error, ValueError):
                picture = Picture(data=base64.b64decode(image.rpartition(",")[2]), mime="image/png")
                events.append(Preview(index=0, picture=picture, overall=done, current=done))
        return events

    async def _interrupt(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_SECONDS), suppress(BackendError):
            await self._call("POST", "interrupt", {}, seconds=STOP_SECONDS)

    def _body(self, job: Job) -> dict[str, Json]:
        body = request_body(job)
        sampler = str(body["sampler_name"])
        if self._samplers and sampler not in self._samplers:
            raise BackendError(f"The WebUI does not have the sampler '{sampler}'.")
        return body

    async def _call(self, method: str, route: str, body: Json = None, *, seconds: float = 600.0) -> Any:
        """The answer. Raises Unreachable, and BackendError with what the WebUI says is wrong."""
        answer = await self._peer.json(method, f"/sdapi/v1/{route}", body, seconds=seconds)
        if isinstance(answer, dict) and (error := answer.get("error") or answer.get("detail")):
            raise BackendError(f"The WebUI gave error: {answer.get('errors') or error}")
        return answer


def request_body(job: Job) -> dict[str, Json]:
    """The body of txt2img, or of img2img when there is an init image. Pure."""
    input = job.input
    prompt = split_sections(input.get(PROMPT)).for_base()
    for lora in job.loras:
        prompt += f" <lora:{PurePosixPath(lora.file.name.removesuffix('.safetensors')).name}:{lora.weight:g}>"
    body: dict[str, Json] = {
        "prompt": _EMBED.sub(_embedding, prompt).strip(),
        "negative_prompt": _EMBED.sub(_embedding, split_sections(input.get(NEGATIVE_PROMPT)).for_base()).strip(),
        "seed": job.seeds[0],
        "steps": input.get(STEPS),
        "width": input.get(WIDTH),
        "height": input.get(HEIGHT),
        "batch_size": len(job.seeds),
        "cfg_scale": input.get(CFG_SCALE),
        "subseed": input.get(VARIATION_SEED) if input.has(VARIATION_SEED) else -1,
        "subseed_strength": input.get(VARIATION_SEED_STRENGTH) if input.has(VARIATION_SEED) else 0,
        "sampler_name": input.get(AUTO_WEBUI_SAMPLER),
    }
    picture = input.given(INIT_IMAGE)
    if picture is not None:
        body["init_images"] = [base64.b64encode(picture.data).decode()]
        body["denoising_strength"] = input.get(INIT_IMAGE_CREATIVITY) if input.has(INIT_IMAGE_CREATIVITY) else 1.0
        mask = input.given(MASK_IMAGE)
        if mask is not None:
            body |= {"mask": base64.b64encode(mask.data).decode(), "mask_blur": input.get(MASK_BLUR)}
    return body


def _embedding(found: re.Match[str]) -> str:
    return PurePosixPath(found[1].replace("\\", "/")).name.removesuffix(".safetensors").removesuffix(".pt")


def matching_title(titles: list[str], name: str) -> str | None:
    """The WebUI's title of a model: the whole path first, else the file's own name; case does not count."""
    wanted = name.lower()
    bare = {_bare(title).lower(): title for title in titles}
    by_file = {PurePosixPath(path).name: title for path, title in bare.items()}
    return bare.get(wanted) or by_file.get(PurePosixPath(wanted).name)


def _bare(title: str) -> str:
    return _HASH.sub("", title).replace("\\", "/")


def _names(answer: Any, key: str) -> list[str]:
    return [str(one[key]) for one in answer if isinstance(one, dict) and key in one] if isinstance(answer, list) else []


async def _pixels(image: Any) -> Pixels:
    try:
        data = base64.b64decode(str(image).rpartition(",")[2], validate=True)
        return await to_thread(decode, Picture(data=data, mime="image/png"))
    except (binascii.Error, ValueError, UserError):
        raise BackendError("The WebUI's picture cannot be read.") from None


TYPE = BackendType(
    id="auto_webui_api",
    label="Auto1111 SD-WebUI API By URL",
    description="A running Stable Diffusion WebUI that was started with --api.",
    settings=WebUiSettings,
    make=WebUiBackend,
    standard=False,
    fast=True,
    remote=True,
)
