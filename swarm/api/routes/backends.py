"""Looking at backends and changing them (swarm-models-backends 3.3)."""

from __future__ import annotations

from swarm.access.permissions import (
    ADD_REMOVE_BACKENDS,
    CONTROL_MEM_CLEAN,
    EDIT_BACKENDS,
    RESTART_BACKENDS,
    TOGGLE_BACKENDS,
    VIEW_BACKENDS_LIST,
)
from swarm.api.route import Body, Call, JsonObject, route
from swarm.api.shapes import ANY, Map
from swarm.backends.wire import backend_list, backend_object, type_list
from swarm.base.errors import BadInput, Refused


@route(
    "ListBackendTypes",
    permission=VIEW_BACKENDS_LIST,
    answers={"list": [{"id": str, "name": str, "description": str, "settings": [Map(ANY)], "is_standard": bool}]},
)
async def list_backend_types(call: Call) -> JsonObject:
    """The kinds of backend there are, each with the form of its settings."""
    return {"list": type_list(call.state.pool.types)}


@route("ListBackends", permission=VIEW_BACKENDS_LIST, answers=Map(Map(ANY)))
async def list_backends(call: Call, nonreal: bool = False, full_data: bool = False) -> JsonObject:
    """Every backend by its id. `full_data` adds the model each one holds. Secret settings are masked.

    `nonreal` adds those that other backends bring along; their ids are negative. Of those, `servers` names the servers
    that work passes through.
    """
    instances = [one for one in call.state.pool.instances() if nonreal or one.parent is None]
    return backend_list(instances, call.state.clock(), full=full_data)


@route("AddNewBackend", permission=ADD_REMOVE_BACKENDS, touches=True, answers=Map(ANY))
async def add_new_backend(call: Call, type_id: str) -> JsonObject:
    """Make a backend with default settings and start it; answers the new backend."""
    _refuse_locked(call)
    instance = await call.state.pool.add(type_id)
    return backend_object(instance, call.state.clock())


@route("EditBackend", permission=EDIT_BACKENDS, touches=True, answers=Map(ANY))
async def edit_backend(call: Call, raw: Body, backend_id: int, title: str, new_id: int = -1) -> JsonObject:
    """Change the title, settings and, with `new_id`, the id of a backend once it is free, and start it anew.

    The body holds `settings`, values by name. A secret that comes back as it was shown stays as it is.
    """
    _refuse_locked(call)
    settings = raw.get("settings")
    if not isinstance(settings, dict):
        raise BadInput("Missing settings.")
    instance = await call.state.pool.edit(backend_id, settings, title, new_id)
    return backend_object(instance, call.state.clock())


@route("DeleteBackend", permission=ADD_REMOVE_BACKENDS, touches=True, answers={"result": str})
async def delete_backend(call: Call, backend_id: int) -> JsonObject:
    """Stop a backend once it is free and forget it."""
    _refuse_locked(call)
    existed = await call.state.pool.delete(backend_id)
    return {"result": "Deleted." if existed else "Already didn't exist."}


@route("ToggleBackend", permission=TOGGLE_BACKENDS, touches=True, answers={"result": str})
async def toggle_backend(call: Call, backend_id: int, enabled: bool) -> JsonObject:
    """Switch a backend on or off, once it is free."""
    _refuse_locked(call)
    changed = await call.state.pool.toggle(backend_id, enabled)
    return {"result": "Success." if changed else "No change."}


@route("RestartBackends", permission=RESTART_BACKENDS, touches=True, answers={"result": str, "count": int})
async def restart_backends(call: Call, backend: str = "all") -> JsonObject:
    """Stop and start again all backends that run or have failed, or the one with this id; `count` says how many."""
    _refuse_locked(call)
    return {"result": "Success.", "count": await call.state.pool.restart(backend)}


@route("FreeBackendMemory", permission=CONTROL_MEM_CLEAN, touches=True, answers={"result": bool, "count": int})
async def free_backend_memory(call: Call, system_ram: bool = False, backend: str = "all") -> JsonObject:
    """Ask running backends to give back device memory, and with `system_ram` host memory too."""
    count = await call.state.pool.free_memory(system_ram=system_ram, backend=backend)
    return {"result": count is not None, "count": count or 0}


def _refuse_locked(call: Call) -> None:
    """Raises Refused on a server that was started with `--lock_settings`: its backends stay as they are, too."""
    if call.state.options.lock_settings:
        raise Refused("Settings are locked.")
