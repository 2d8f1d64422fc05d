"""One job on another Swarm, over a WebSocket or plain HTTP (swarm-models-backends 4.3)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import anyio
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from swarm.backends.peer import Peer
from swarm.backends.remote_swarm.session import LOST_SESSION, RemoteSession, check
from swarm.base.data_url import parse_data_url
from swarm.base.errors import BackendError, Crashed, UserError
from swarm.base.json import Json
from swarm.base.tasks import to_thread
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.media.image import Picture, Pixels, decode

SILENT_SECONDS = 120.0
"""A remote says at least every 30 seconds that it is alive."""

_STILLS = ("image/png", "image/jpeg")


async def over_socket(
    peer: Peer, session: RemoteSession, body: Mapping[str, Json], *, previews: bool
) -> AsyncGenerator[BackendEvent, None]:
    """The job's events. Raises RemoteError, Unreachable before it was sent, Crashed when the connection breaks."""
    began, steps = time.monotonic(), 0
    async with peer.socket("/API/GenerateText2ImageWS") as socket:
        await socket.send(json.dumps({**body, "session_id": session.id}))
        async for message in _messages(socket):
            if message.get("error_id") == LOST_SESSION:
                await session.open()
                raise Crashed("The remote has forgotten the session.")
            check(message)
            progress = message.get("gen_progress")
            if isinstance(progress, dict) and "overall_percent" in progress:
                steps += 1
                yield _progress(progress, steps, previews)
            elif isinstance(image := message.get("image"), str):
                index = _index(message.get("batch_index"))
                yield ImageDone(index=index, result=await result_of(image), seconds=time.monotonic() - began)
            elif message.get("socket_intention") == "close":
                return  # the remote would wait two more seconds for another request


async def _messages(socket: Any) -> AsyncIterator[dict[str, Any]]:
    """Every message until the remote closes. Raises Crashed when the connection breaks or stays silent."""
    while True:
        try:
            with anyio.fail_after(SILENT_SECONDS):
                message = json.loads(await socket.recv())
        except ConnectionClosedOK:
            return
        except (ConnectionClosed, OSError):
            raise Crashed("The connection to the remote broke.") from None
        except TimeoutError:
            raise Crashed("The remote says nothing any more.") from None
        except ValueError:
            raise Crashed("The remote sent something that is no JSON.") from None
        if isinstance(message, dict):
            yield message


def _progress(progress: Mapping[str, Any], steps: int, previews: bool) -> BackendEvent:
    overall, current = _fraction(progress.get("overall_percent")), _fraction(progress.get("current_percent"))
    preview = progress.get("preview")
    if previews and isinstance(preview, str):
        try:
            mime, data = parse_data_url(preview)
            index = _index(progress.get("batch_index"))
            return Preview(index=index, picture=Picture(data=data, mime=mime), overall=overall, current=current)
        except UserError:
            pass  # a preview that cannot be read is no reason to lose the picture
    return StepDone(done=steps, total=max(steps, 1), overall=overall, current=current)


async def over_http(session: RemoteSession, body: Mapping[str, Json]) -> AsyncGenerator[BackendEvent, None]:
    """The job without a socket: only its results."""
    began = time.monotonic()
    answer = await session.call("GenerateText2Image", body)
    images = answer.get("images")
    for index, image in enumerate(images if isinstance(images, list) else ()):
        url = image if isinstance(image, str) else str(image.get("image")) if isinstance(image, dict) else ""
        yield ImageDone(index=index, result=await result_of(url), seconds=time.monotonic() - began)


async def result_of(url: str) -> Pixels | Picture:
    """The result in a data URL: pixels of a still picture, so that it is saved as its user wants; else the file."""
    try:
        mime, data = parse_data_url(url)
        picture = Picture(data=data, mime=mime)
        return await to_thread(decode, picture) if mime in _STILLS else picture
    except UserError as error:
        raise BackendError(f"The remote's result cannot be used: {error.sentence}") from None


def _index(value: Any) -> int:
    """`batch_index` comes as text or number."""
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return 0


def _fraction(value: Any) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else 0.0
