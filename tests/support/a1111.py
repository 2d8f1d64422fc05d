"""A Stable Diffusion WebUI as far as its API is used: it checks what it is asked, and paints one colour per seed."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from swarm.backends.types.fake import as_png, gradient

_TEXTS = ("prompt", "negative_prompt", "sampler_name")
_WHOLES = ("seed", "steps", "width", "height", "batch_size", "subseed")


class FakeWebUi:
    """`asked`: the bodies of its jobs. `seconds`: how long a job takes. `interrupted`: how often it was stopped."""

    def __init__(self, titles: tuple[str, ...], seconds: float = 0.0) -> None:
        self.titles = titles
        self.seconds = seconds
        self.asked: list[dict[str, Any]] = []
        self.interrupted = 0
        self.checkpoint = titles[0]
        self._stop = asyncio.Event()
        routes = [
            Route("/sdapi/v1/options", self._options),
            Route("/sdapi/v1/options", self._set_options, methods=["POST"]),
            Route("/sdapi/v1/samplers", self._samplers),
            Route("/sdapi/v1/sd-models", self._models),
            Route("/sdapi/v1/progress", self._progress),
            Route("/sdapi/v1/interrupt", self._interrupt, methods=["POST"]),
            Route("/sdapi/v1/txt2img", self._paint, methods=["POST"]),
            Route("/sdapi/v1/img2img", self._paint, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _options(self, _: Request) -> JSONResponse:
        return JSONResponse({"sd_model_checkpoint": self.checkpoint})

    async def _set_options(self, request: Request) -> JSONResponse:
        title = (await request.json())["sd_model_checkpoint"]
        if title not in self.titles:
            return JSONResponse({"error": "HTTPException", "errors": f"model {title!r} not found"}, 500)
        self.checkpoint = title
        return JSONResponse(None)

    async def _samplers(self, _: Request) -> JSONResponse:
        return JSONResponse([{"name": name, "aliases": [], "options": {}} for name in ("Euler", "Euler a", "DPM++ 2M")])

    async def _models(self, _: Request) -> JSONResponse:
        return JSONResponse([{"title": title, "model_name": title.split(".")[0]} for title in self.titles])

    async def _progress(self, _: Request) -> JSONResponse:
        image = base64.b64encode(as_png(gradient(1, 8, 8)).data).decode() if self.asked else None
        return JSONResponse({"progress": 0.5, "state": {"sampling_step": 2}, "current_image": image})

    async def _interrupt(self, _: Request) -> JSONResponse:
        self.interrupted += 1
        self._stop.set()
        return JSONResponse({})

    async def _paint(self, request: Request) -> JSONResponse:
        body = await request.json()
        wrong = [name for name in _TEXTS if not isinstance(body.get(name), str)]
        wrong += [name for name in _WHOLES if not isinstance(body.get(name), int)]
        if request.url.path.endswith("img2img"):
            wrong += [] if body.get("init_images") else ["init_images"]
        if wrong:
            return JSONResponse({"detail": [{"loc": ["body", name], "msg": "value is wrong"} for name in wrong]}, 422)
        self.asked.append(body)
        self._stop.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self.seconds)
        pictures = [
            as_png(gradient(body["seed"] + k, body["width"], body["height"])) for k in range(body["batch_size"])
        ]
        return JSONResponse({"images": [base64.b64encode(one.data).decode() for one in pictures], "info": "{}"})
