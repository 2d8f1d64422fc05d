"""Models from the internet (swarm-models-backends 1.7)."""

from __future__ import annotations

from contextlib import aclosing

import anyio

from swarm.access.permissions import DOWNLOAD_MODELS, EDIT_MODEL_METADATA
from swarm.accounts.api_keys import KEY_TYPES
from swarm.api.route import ApiSocket, Call, SocketGone, route
from swarm.api.shapes import ANY
from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.catalog.download import Wanted

METADATA_HOSTS = ("civitai.com", "civitai.red")
_MAX_MESSAGES = 1000


@route("DoModelDownloadWS", permission=DOWNLOAD_MODELS, websocket=True, touches=True)
async def do_model_download_ws(
    call: Call, socket: ApiSocket, url: str, type: str, name: str, metadata: str | None = None
) -> JsonObject | None:
    """Download a model file from an allowed host: frames with `current_percent`, then `{"success": true}`.

    `type`: the model set. `name`: without extension. `metadata`: JSON text for the sidecar. A message
    `{"signal": "cancel"}` stops it and removes what was fetched; when the socket goes away, that is kept, and the same
    request goes on where it ended.
    """
    keys = {key: await to_thread(call.state.api_keys.get, call.caller.user.id, key) for key in KEY_TYPES}
    wanted = await to_thread(call.state.downloads.wanted, url, type, name, metadata, keys)
    result: list[JsonObject] = []
    unwanted = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(_download, call, socket, wanted, result, group.cancel_scope)
        group.start_soon(_stop_when_told, socket, group.cancel_scope, unwanted)
    if unwanted.is_set():
        await to_thread(call.state.downloads.discard, wanted)
    return result[0] if result else {"error": "Download was cancelled."}


async def _download(
    call: Call, socket: ApiSocket, wanted: Wanted, result: list[JsonObject], scope: anyio.CancelScope
) -> None:
    try:
        async with aclosing(call.state.downloads.fetch(wanted)) as steps:
            async for step in steps:
                await socket.send(step.to_wire())
        result.append({"success": True})
    except UserError as refusal:
        id: JsonObject = {"error_id": refusal.error_id} if refusal.error_id is not None else {}
        result.append({"error": refusal.sentence, **id})
    except SocketGone:
        pass
    scope.cancel()


async def _stop_when_told(socket: ApiSocket, scope: anyio.CancelScope, unwanted: anyio.Event) -> None:
    """Ends with the download; the number of messages is limited, for each costs something."""
    for _ in range(_MAX_MESSAGES):
        try:
            message = await socket.receive()
        except BadInput:
            continue
        except SocketGone:
            break
        if message.get("signal") == "cancel":
            unwanted.set()
            break
    scope.cancel()


@route("ForwardMetadataRequest", permission=EDIT_MODEL_METADATA, answers={"response": ANY})
async def forward_metadata_request(call: Call, url: str) -> JsonObject:
    """Ask Civitai about a model, for pages that may not do so themselves: `{"response": {…}}`."""
    if url.startswith("https://civitai.com/"):
        url = "https://civitai.red/" + url.removeprefix("https://civitai.com/")
    if not url.startswith("https://civitai.red/"):
        raise BadInput("Invalid URL.")
    try:
        return {"response": await call.state.downloads.json(url, hosts=METADATA_HOSTS)}
    except OSError as error:
        raise Refused(f"{type(error).__name__}: {error}") from None
