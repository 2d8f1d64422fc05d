"""The settings of the server: listing and changing them (swarm-core 6.1, 6.2)."""

from __future__ import annotations

from swarm.access.permissions import EDIT_SERVER_SETTINGS, READ_SERVER_SETTINGS
from swarm.api.route import Body, Call, route
from swarm.api.shapes import ANY, SUCCESS, Map, Null, Shape
from swarm.base.errors import BadInput
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.settings.server import ServerSettings
from swarm.settings.wire import settings_map

SETTING: Shape = {
    "type": str,
    "name": str,
    "value": ANY,
    "description": str,
    "values": Null([str]),
    "value_names": Null([str]),
    "is_secret": bool,
    "default_value?": ANY,
}


@route("ListServerSettings", permission=READ_SERVER_SETTINGS, answers={"settings": Map(SETTING)})
async def list_server_settings(call: Call) -> JsonObject:
    """Every setting of the server with its value, default and help: `{"settings": {name: setting, …}}`.

    A setting has `type`, `name`, `value`, `description`, `values`, `value_names`, `is_secret` and `default_value`; the
    value of a `group` is a map of the same form. Secrets are masked.
    """
    return {"settings": settings_map(ServerSettings, call.state.settings)}


@route("ChangeServerSettings", permission=EDIT_SERVER_SETTINGS, touches=True, answers=SUCCESS)
async def change_server_settings(call: Call, body: Body) -> JsonObject:
    """Change settings by dotted path, in any case: `{"settings": {"network.outputcacheseconds": 60}}`.

    All changes are saved and take effect at once, or none; settings whose help says so are read at the next start.
    Unknown paths are skipped. Changes below `paths.` have the models read again.
    """
    changes = body.get("settings")
    if not isinstance(changes, dict):
        raise BadInput("The body needs 'settings', an object of new values by dotted path.")
    await to_thread(call.state.settings_store.change, changes)
    if any(path.lower().startswith("paths.") for path in changes):
        await to_thread(call.state.catalog.refresh)
    return {"success": True}
