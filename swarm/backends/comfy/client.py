"""The calls of a running ComfyUI (swarm-models-backends 5.4)."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import anyio
from websockets.exceptions import ConnectionClosed

from swarm.backends.comfy.frames import preview_of
from swarm.backends.comfy.info import ComfyInfo, info_of
from swarm.backends.comfy.workflow import Workflow
from swarm.backends.peer import Peer, Unreachable
from swarm.base.errors import BackendError, Crashed
from swarm.base.json import Json
from swarm.jobs.events import Preview, StepDone
from swarm.media.image import Picture, guess_mime

ASK_SECONDS = 60.0
STOP_SECONDS = 5.0
SILENT_SECONDS = 600.0


class ComfyClient:
    """One ComfyUI at an address."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def info(self) -> ComfyInfo:
        answer = await self._peer.json("GET", "/object_info", seconds=ASK_SECONDS)
        if not isinstance(answer, dict):
            raise Unreachable(f"{self._peer.base} is no ComfyUI.")
        return info_of(answer)

    async def is_there(self) -> bool:
        """Raises Unreachable when it does not answer."""
        await self._peer.bytes("GET", "/features", seconds=STOP_SECONDS)
        return True

    async def upload(self, picture: Picture, name: str) -> str:
        """Put a picture into its input folder; the name to load it by."""
        mark = uuid.uuid4().hex
        fields = (
            f'--{mark}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            f"Content-Type: {picture.mime}\r\n\r\n"
        ).encode()
        headers = {"content-type": f"multipart/form-data; boundary={mark}"}
        body = fields + picture.data + f"\r\n--{mark}--\r\n".encode()
        status, answer = await self._peer.bytes("POST", "/upload/image", body, headers=headers)
        with suppress(ValueError, TypeError, KeyError):
            if status == 200:
                stored = json.loads(answer)
                return "/".join(filter(None, (str(stored.get("subfolder") or ""), str(stored["name"]))))
        raise BackendError("ComfyUI did not take the picture.")

    async def free(self, *, system_ram: bool) -> bool:
        body: Json = {"unload_models": True, "free_memory": system_ram}
        status, _ = await self._peer.bytes("POST", "/free", json.dumps(body).encode(), headers=_JSON)
        return status == 200

    async def work(self, workflow: Workflow) -> AsyncGenerator[StepDone | Preview | Picture, None]:
        """Run it to its end; the results come last, in the order of its outputs.

        Raises BackendError with ComfyUI's word, Crashed when the connection breaks.
        """
        client_id = str(uuid.uuid4())
        async with self._peer.socket(f"/ws?clientId={client_id}") as socket:
            await socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}')
            prompt_id = await self._submit(workflow, client_id)
            is_over = False
            try:
                progress = _Progress(prompt_id, len(workflow.nodes))
                async for frame in _frames(socket):
                    event = progress.heard(frame)
                    if event is not None:
                        yield event
                    if progress.is_over:
                        is_over = True
                        break
            finally:
                if not is_over:
                    await self._stop(prompt_id)
        for picture in await self._pictures(prompt_id, workflow):
            yield picture

    async def _submit(self, workflow: Workflow, client_id: str) -> str:
        answer = await self._peer.json("POST", "/prompt", {"prompt": workflow.nodes, "client_id": client_id})
        if not isinstance(answer, dict) or "prompt_id" not in answer:
            raise BackendError(f"ComfyUI errored: {json.dumps(answer)[:2000]}")
        return str(answer["prompt_id"])

    async def _pictures(self, prompt_id: str, workflow: Workflow) -> list[Picture]:
        """What the finished workflow holds, in the order of its outputs; then the server may forget it."""
        history = await self._peer.json("GET", f"/history/{prompt_id}", seconds=ASK_SECONDS)
        entry = history.get(prompt_id) if isinstance(history, dict) else None
        outputs = entry.get("outputs") if isinstance(entry, dict) else None
        if not isinstance(outputs, dict):
            raise BackendError("ComfyUI has no results for the job.")
        found = [await self._picture(one) for node in workflow.outputs for one in _images(outputs.get(node))]
        await self._forget(prompt_id)
        return found

    async def _picture(self, place: Mapping[str, Any]) -> Picture:
        query = {key: str(place.get(key) or "") for key in ("filename", "type", "subfolder")}
        status, data = await self._peer.bytes("GET", f"/view?{urlencode(query)}")
        mime = guess_mime(data) if status == 200 else None
        if mime is None:
            raise BackendError("ComfyUI's result cannot be read.")
        return Picture(data=data, mime=mime)

    async def _stop(self, prompt_id: str) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_SECONDS):
            for path, body in (
                ("/queue", {"delete": [prompt_id]}),
                ("/interrupt", {"prompt_id": prompt_id}),
                ("/history", {"delete": [prompt_id]}),
            ):
                with suppress(BackendError):
                    data = json.dumps(body).encode()
                    await self._peer.bytes("POST", path, data, headers=_JSON, seconds=STOP_SECONDS)

    async def _forget(self, prompt_id: str) -> None:
        with suppress(BackendError):
            data = json.dumps({"delete": [prompt_id]}).encode()
            await self._peer.bytes("POST", "/history", data, headers=_JSON, seconds=STOP_SECONDS)


_JSON = {"content-type": "application/json"}


def _images(output: Any) -> list[Mapping[str, Any]]:
    for key in ("images", "gifs", "audio"):
        found = output.get(key) if isinstance(output, dict) else None
        if isinstance(found, list) and found:
            return [one for one in found if isinstance(one, dict)]
    return []


async def _frames(socket: Any) -> AsyncIterator[str | bytes]:
    while True:
        try:
            with anyio.fail_after(SILENT_SECONDS):
                frame: str | bytes = await socket.recv()
        except (ConnectionClosed, OSError):
            raise Crashed("The connection to ComfyUI broke.") from None
        except TimeoutError:
            raise Crashed("ComfyUI says nothing any more.") from None
        yield frame


class _Progress:
    """What the frames of one job add up to."""

    def __init__(self, prompt_id: str, nodes: int) -> None:
        self._prompt_id = prompt_id
        self._nodes = max(1, nodes)
        self._done = 0
        self._value, self._max = 0, 1
        self.is_over = False

    def heard(self, frame: str | bytes) -> StepDone | Preview | None:
        """Raises BackendError when it says that the job failed."""
        if isinstance(frame, bytes):
            picture = preview_of(frame)
            if picture is None:
                return None
            return Preview(index=0, picture=picture, overall=self._overall, current=self._value / self._max)
        try:
            message = json.loads(frame)
            kind, data = message["type"], message.get("data") or {}
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        if not isinstance(data, dict) or data.get("prompt_id", self._prompt_id) != self._prompt_id:
            return None
        return self._told(str(kind), data)

    def _told(self, kind: str, data: Mapping[str, Any]) -> StepDone | None:
        if kind == "execution_error":
            raise BackendError(f"ComfyUI execution error: {data.get('exception_message')}")
        if kind == "execution_interrupted":
            raise BackendError("ComfyUI was interrupted.")
        if kind == "executing" and data.get("node") is None and "prompt_id" in data:
            self.is_over = True
            return None
        if kind == "executing":
            self._done, self._value = min(self._nodes, self._done + 1), 0
        elif kind == "execution_cached":
            self._done = min(self._nodes, self._done + len(data.get("nodes") or ()))
        elif kind == "progress":
            self._max = max(1, int(data.get("max") or 1))
            self._value = min(self._max, max(0, int(data.get("value") or 0)))
        else:
            return None
        return StepDone(done=self._value, total=self._max, overall=self._overall, current=self._value / self._max)

    @property
    def _overall(self) -> float:
        return min(1.0, (self._done + self._value / self._max) / (self._nodes + 1))
