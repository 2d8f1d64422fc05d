"""Generation over HTTP and WebSocket, its status and its interruption (swarm-t2i 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from swarm.access.permissions import BASIC_IMAGE_GENERATION, FUNDAMENTAL_GENERATE_TAB_ACCESS
from swarm.api.route import ApiSocket, Body, Call, SocketGone, route
from swarm.api.shapes import STATUS, SUCCESS
from swarm.base.errors import BadInput
from swarm.base.json import JsonObject
from swarm.generation.events import Failure, GenerationEvent, ImageSaved
from swarm.generation.run import Indices
from swarm.generation.service import GenerationRequest

LINGER_SECONDS = 2.0
"""How long a socket stays open for another request after everything on it has ended (swarm-t2i 4.4)."""

MOST_COUNTED = 10_000
"""What a request may say for `images`; a refused request that says more must not spoil the numbers of the next."""


@route("GenerateText2Image", permission=BASIC_IMAGE_GENERATION, touches=True, answers={"images": [str]})
async def generate(call: Call, images: int, body: Body) -> JsonObject:
    """Make pictures and answer when all are saved: `{"images": [url, …]}`, or the first error as `{"error": …}`.

    The body carries the parameters (see the parameter reference) beside `images`.
    """
    request = GenerationRequest(session=call.caller, body=body, images=max(0, images))
    async with call.state.generation.run(request) as events:
        heard = [event async for event in events if isinstance(event, ImageSaved | Failure)]
    failure = next((event for event in heard if isinstance(event, Failure)), None)
    if failure is not None:
        return failure.to_wire()
    made = _by_index([event for event in heard if isinstance(event, ImageSaved)])
    return {"images": [event.image for event in made]}


def _by_index(made: Sequence[ImageSaved]) -> list[ImageSaved]:
    """Pictures made together are saved in any order, and clients count on the first being the first. Intermediate
    pictures and the mini-grid stay where they came."""
    numbered = iter(sorted((event for event in made if event.index >= 0), key=lambda event: event.index))
    return [next(numbered) if event.index >= 0 else event for event in made]


@route("GenerateText2ImageWS", permission=BASIC_IMAGE_GENERATION, websocket=True, touches=True)
async def generate_ws(call: Call, socket: ApiSocket, images: int, body: Body) -> JsonObject | None:
    """Make pictures and tell everything on the way: status, progress, previews, each image as soon as it is saved.

    Further messages on the socket are further requests; they run at once. Closing the socket does not stop the work.
    """
    return await SocketRequests(call, socket).serve(body, images)


@route("InterruptAll", permission=BASIC_IMAGE_GENERATION, touches=True, answers=SUCCESS)
async def interrupt_all(call: Call, other_sessions: bool = False) -> JsonObject:
    """Stop everything this session has asked for (or all sessions of the user). Later requests are unaffected."""
    if other_sessions:
        call.state.generation.interrupt_user(call.caller.user.id)
    else:
        call.state.generation.interrupt(call.caller.id)
    return {"success": True}


@route("GetCurrentStatus", permission=FUNDAMENTAL_GENERATE_TAB_ACCESS, answers=STATUS)
async def get_current_status(call: Call) -> JsonObject:
    """The session's counters, the state of the backends, and the features they support.

    `notices`: sentences that people should read, such as that a damaged database was replaced or that
    pictures cannot be saved; mostly not there.
    """
    status = call.state.generation.status(call.caller.id)
    trouble = call.state.outputs.trouble
    notices = [*call.state.upkeep.notices, *([trouble] if trouble else [])]
    return {**status, "notices": notices} if notices else status


@route(
    "AddImageToHistory",
    permission=BASIC_IMAGE_GENERATION,
    touches=True,
    answers={"images": [{"image": str, "batch_index": str, "request_id": str, "metadata": str}]},
)
async def add_image_to_history(call: Call, image: str, body: Body) -> JsonObject:
    """Save a picture (a data URL) as if it had been generated with the parameters beside it."""
    params = {key: value for key, value in body.items() if key != "image"}
    added = await call.state.generation.add_to_history(call.caller, image, params)
    return {"images": [added]}


class SocketRequests:
    """The requests of one generation socket: several may run at once, numbered one after another (swarm-t2i 4.5)."""

    def __init__(self, call: Call, socket: ApiSocket) -> None:
        self._call = call
        self._socket = socket
        self._indices = Indices()
        self._offset = 0
        self._active = 0
        self._moved = anyio.Event()
        self._gone = False

    async def serve(self, body: JsonObject, images: int) -> JsonObject | None:
        """Answer the first request and all that follow; returns the last message, or None when the client left."""
        async with anyio.create_task_group() as group:
            self._begin(group, body, images)
            group.start_soon(self._listen, group)
            await self._until_quiet(group)
            group.cancel_scope.cancel()
        return None if self._gone else self._call.state.generation.status(self._call.caller.id)

    def _begin(self, group: TaskGroup, body: JsonObject, images: int) -> None:
        request = GenerationRequest(
            session=self._call.caller,
            body=body,
            images=max(0, images),
            offset=self._offset,
            indices=self._indices,
        )
        batch = _whole(body.get("batchsize"), 1)
        self._offset += min(max(0, images), MOST_COUNTED) * min(max(1, batch), MOST_COUNTED)
        self._active += 1
        group.start_soon(self._answer, request, group)

    async def _answer(self, request: GenerationRequest, group: TaskGroup) -> None:
        try:
            async with self._call.state.generation.run(request) as events:
                await self._forward(events)
        except SocketGone:
            self._leave(group)
        finally:
            self._active -= 1
            self._moved.set()

    async def _forward(self, events: AsyncIterator[GenerationEvent]) -> None:
        async for event in events:
            await self._socket.send(event.to_wire())

    async def _listen(self, group: TaskGroup) -> None:
        while True:
            try:
                body = await self._socket.receive()
            except SocketGone:
                self._leave(group)
                return
            except BadInput as error:
                await self._socket.send({"error": error.sentence})
                continue
            self._begin(group, body, _whole(body.get("images"), 0))
            self._moved.set()

    def _leave(self, group: TaskGroup) -> None:
        self._gone = True
        group.cancel_scope.cancel()

    async def _until_quiet(self, group: TaskGroup) -> None:
        while True:
            while self._active:
                await self._next_move()
            try:
                await self._socket.send({"socket_intention": "close"})
            except SocketGone:
                self._leave(group)
                return
            with anyio.move_on_after(LINGER_SECONDS):
                await self._next_move()
            if not self._active:
                return

    async def _next_move(self) -> None:
        self._moved = anyio.Event()
        await self._moved.wait()


def _whole(value: Any, otherwise: int) -> int:
    """A count a client wrote as number or text; `otherwise` when it is neither."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise
