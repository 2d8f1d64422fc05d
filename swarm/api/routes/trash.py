"""The trash: deleted models and wildcard lists, listed, put back, or deleted for good. Ours, not SwarmUI's."""

from __future__ import annotations

from swarm.access.permissions import DELETE_MODELS, EDIT_WILDCARDS
from swarm.accounts.user import User
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.errors import NotFound
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread
from swarm.catalog.edit import ModelEditor
from swarm.catalog.trash import Trashed
from swarm.catalog.wildcards import WildcardStore
from swarm.state import AppState


@route(
    "ListTrash",
    permission=DELETE_MODELS,
    answers={"deleted": [{"id": str, "files": [str], "time_deleted": int}]},
)
async def list_trash(call: Call) -> JsonObject:
    """What was deleted and can be restored, the latest first: `{"deleted": [{"id", "files", "time_deleted"}, …]}`.

    `files`: names only. `time_deleted`: unix milliseconds.
    """
    models, lists = await to_thread(_deleted, call.state, call.caller.user)
    found = sorted([*models, *lists], key=lambda one: one.id, reverse=True)
    return {"deleted": [_object(one) for one in found]}


@route("RestoreFromTrash", permission=DELETE_MODELS, touches=True, answers=SUCCESS)
async def restore_from_trash(call: Call, id: str) -> JsonObject:
    """Put what was deleted back where it was: `{"success": true}`. `id`: as ListTrash tells it."""
    await to_thread(_restore, call.state, call.caller.user, id)
    return {"success": True}


@route("DeleteFromTrash", permission=DELETE_MODELS, touches=True, answers=SUCCESS)
async def delete_from_trash(call: Call, id: str) -> JsonObject:
    """Delete for good what is in the trash: `{"success": true}`. `id`: as ListTrash tells it."""
    await to_thread(_remove, call.state, call.caller.user, id)
    return {"success": True}


def _deleted(state: AppState, user: User) -> tuple[list[Trashed], list[Trashed]]:
    """Models and wildcard lists that this user may restore. Blocking."""
    models = [one for one in state.editor.deleted() if user.permits_model(_model_name(state, one))]
    return models, state.wildcards.deleted() if user.permits(EDIT_WILDCARDS) else []


def _model_name(state: AppState, trashed: Trashed) -> str:
    """As the catalog had called it."""
    [origin, *_] = trashed.origins
    return state.catalog.name_of(origin)


def _object(trashed: Trashed) -> Json:
    return {"id": trashed.id, "files": list(trashed.names), "time_deleted": trashed.time * 1000}


def _restore(state: AppState, user: User, id: str) -> None:
    """Blocking. Raises NotFound, BadInput."""
    _place(state, user, id).restore(id)


def _remove(state: AppState, user: User, id: str) -> None:
    """Blocking. Raises NotFound, BadInput."""
    _place(state, user, id).remove(id)


def _place(state: AppState, user: User, id: str) -> ModelEditor | WildcardStore:
    """Who looks after what this user may restore under this id. Raises NotFound."""
    models, lists = _deleted(state, user)
    if any(one.id == id for one in models):
        return state.editor
    if any(one.id == id for one in lists):
        return state.wildcards
    raise NotFound("There is nothing like that in the trash.")
