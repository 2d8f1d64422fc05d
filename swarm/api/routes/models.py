"""Models: listing, describing, loading one now (swarm-models-backends 1.7)."""

from __future__ import annotations

import logging

from swarm.access.permissions import FUNDAMENTAL_MODEL_ACCESS, LOAD_MODELS_NOW
from swarm.accounts.user import User
from swarm.api.route import ApiSocket, Call, route
from swarm.api.shapes import ANY, SUCCESS, Map
from swarm.backends.backend import BackendStatus
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread
from swarm.catalog.catalog import Catalog
from swarm.catalog.listing import list_folder
from swarm.catalog.model import ModelEntry
from swarm.catalog.sets import CHECKPOINTS, NO_MODEL
from swarm.catalog.wildcards import SUBTYPE as WILDCARDS
from swarm.catalog.wildcards import Wildcard
from swarm.catalog.wire import (
    card_object,
    card_preview_url,
    model_object,
    no_model_object,
    preview_data,
    preview_url,
    stand_in,
)
from swarm.jobs.job import ModelFile
from swarm.state import AppState

logger = logging.getLogger(__name__)


@route("ListModels", permission=FUNDAMENTAL_MODEL_ACCESS, answers={"folders": [str], "files": [Map(ANY)]})
async def list_models(
    call: Call,
    path: str,
    depth: int,
    subtype: str = CHECKPOINTS,
    sortBy: str = "Name",
    allowRemote: bool = True,
    sortReverse: bool = False,
    dataImages: bool = False,
) -> JsonObject:
    """The models and sub-folders of a folder of a model set: `{"folders": […], "files": [model, …]}`.

    `path`: the folder, empty for the top. `depth`: how many levels down to list, 1 to 20. `subtype`: the model set.
    `allowRemote`: also those that only other machines have. `sortBy`: Name, Title, DateCreated or DateModified.
    `dataImages`: previews as data URLs instead of addresses.
    """
    _check_set(call.state.catalog, subtype)
    cap = call.state.settings.performance.model_list_sanity_cap
    permits = call.caller.user.permits_model
    if subtype == WILDCARDS:
        lists = tuple(each for each in call.state.wildcards.entries() if permits(each.name))
        found = await to_thread(list_folder, lists, path, depth, sort_by=sortBy, reverse=sortReverse, cap=cap)
        cards = await to_thread(_cards, call.state, found.entries, data_images=dataImages, cut=True)
        return {"folders": list(found.folders), "files": cards}
    known = call.state.catalog.entries(subtype)
    entries = [entry for entry in known if permits(entry.name) and (allowRemote or not entry.is_remote)]
    listing = await to_thread(list_folder, entries, path, depth, sort_by=sortBy, reverse=sortReverse, cap=cap)
    files = await to_thread(_objects, call.state, listing.entries, data_images=dataImages)
    return {"folders": list(listing.folders), "files": files}


@route("DescribeModel", permission=FUNDAMENTAL_MODEL_ACCESS, answers={"model": Map(ANY)})
async def describe_model(call: Call, modelName: str, subtype: str = CHECKPOINTS) -> JsonObject:
    """All that is known of one model, its preview as a data URL: `{"model": model}`; of a wildcard list at the root."""
    _check_set(call.state.catalog, subtype)
    if subtype == WILDCARDS:
        return await to_thread(_described_card, call.state, call.caller.user, modelName)
    if subtype == CHECKPOINTS and modelName.lower() == NO_MODEL.lower():
        return {"model": no_model_object()}
    entry = _find(call, subtype, modelName)
    [described] = await to_thread(_objects, call.state, (entry,), data_images=True)
    return {"model": described}


@route("ListLoadedModels", permission=FUNDAMENTAL_MODEL_ACCESS, answers={"models": [Map(ANY)]})
async def list_loaded_models(call: Call) -> JsonObject:
    """The models that backends have ready: `{"models": [model, …]}`."""
    loaded = _loaded(call.state)
    permits = call.caller.user.permits_model
    known = call.state.catalog.entries(CHECKPOINTS)
    entries = tuple(entry for entry in known if entry.name in loaded and permits(entry.name))
    return {"models": await to_thread(_objects, call.state, entries, data_images=False)}


@route("SelectModel", permission=LOAD_MODELS_NOW, touches=True, answers=SUCCESS)
async def select_model(call: Call, model: str, backendId: str | None = None) -> JsonObject:
    """Load a model now, on every running backend or only the one named: `{"success": true}`."""
    file = _chosen(call, model)
    with call.state.generation.loading(call.caller):
        return await _load_everywhere(call.state, file, backendId)


@route("SelectModelWS", permission=LOAD_MODELS_NOW, websocket=True, touches=True)
async def select_model_ws(call: Call, socket: ApiSocket, model: str) -> JsonObject | None:
    """Like SelectModel, on a socket: the session's status, the result, and the status again."""
    file = _chosen(call, model)
    with call.state.generation.loading(call.caller):
        await socket.send(call.state.generation.status(call.caller.id))
        answer = await _load_everywhere(call.state, file, None)
    await socket.send(answer)
    await socket.send(call.state.generation.status(call.caller.id))
    return None


def _check_set(catalog: Catalog, subtype: str) -> None:
    if subtype not in catalog.sets() and subtype != WILDCARDS:
        raise BadInput("Invalid sub-type.")


def _find(call: Call, subtype: str, name: str) -> ModelEntry:
    """Raises NotFound, for what the caller may not see as for what is not there, and BadInput for a blank name."""
    if not name.strip():
        raise BadInput("Invalid empty name.")
    entry = call.state.catalog.find(subtype, name)
    if entry is None or not call.caller.user.permits_model(entry.name):
        raise NotFound("Model not found.")
    return entry


def _chosen(call: Call, name: str) -> ModelFile:
    """The checkpoint to load. Raises NotFound or BadInput, a broken file's own sentence included."""
    return call.state.generation.model_file(_find(call, CHECKPOINTS, name))


async def _load_everywhere(state: AppState, file: ModelFile, backend_id: str | None) -> JsonObject:
    """One backend after the other, so that not every device reads the disk at once; one success is enough."""
    succeeded = await state.dispatch.select(file, backend_id or None)
    return {"success": True} if succeeded else {"error": "Model failed to load."}


def _loaded(state: AppState) -> frozenset[str]:
    """Names of the models that backends hold ready."""
    current = [one.backend.current_model for one in state.pool.instances() if one.status is BackendStatus.RUNNING]
    return frozenset(name for name in current if name is not None)


def _objects(state: AppState, entries: tuple[ModelEntry, ...], *, data_images: bool) -> list[Json]:
    """Blocking when previews are wanted as data."""
    catalog, loaded, edit_id = state.catalog, _loaded(state), state.editor.edit_id
    return [
        model_object(
            entry,
            preview=_preview(catalog, entry) if data_images else preview_url(entry, edit_id),
            loaded=entry.subtype == CHECKPOINTS and entry.name in loaded,
            hash=catalog.known_hash(entry),
        )
        for entry in entries
    ]


def _preview(catalog: Catalog, entry: ModelEntry) -> str:
    return preview_data(catalog.preview(entry), stand_in(entry))


def _described_card(state: AppState, user: User, name: str) -> JsonObject:
    """Blocking. Raises NotFound, BadInput for a blank name."""
    if not name.strip():
        raise BadInput("Invalid empty name.")
    wildcard = state.wildcards.get(name)
    if wildcard is None or not user.permits_model(wildcard.name):
        raise NotFound("Model not found.")
    return _cards(state, (wildcard,), data_images=True, cut=False)[0]


def _cards(state: AppState, lists: tuple[Wildcard, ...], *, data_images: bool, cut: bool) -> list[JsonObject]:
    """Wildcard lists as clients read them; blocking. `cut`: only the beginning of the text."""
    store = state.wildcards
    return [
        card_object(
            one,
            image=preview_data(store.preview(one)) if data_images else card_preview_url(one, store.edit_id),
            cut=cut,
        )
        for one in lists
    ]
