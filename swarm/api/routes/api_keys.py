"""The caller's keys for other people's services (swarm-core 5.17). They go in, and never come out."""

from __future__ import annotations

from datetime import datetime

from swarm.access.permissions import EDIT_USER_SETTINGS, READ_USER_SETTINGS
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread


@route("SetAPIKey", permission=EDIT_USER_SETTINGS, touches=True, answers=SUCCESS)
async def set_api_key(call: Call, keyType: str, key: str) -> JsonObject:
    """Keep the caller's key for a service: `stability_api`, `civitai_api` or `huggingface_api`. `none` forgets it."""
    await to_thread(call.state.api_keys.set, call.caller.user.id, keyType, key)
    return {"success": True}


@route("GetAPIKeyStatus", permission=READ_USER_SETTINGS, answers={"status": str})
async def get_api_key_status(call: Call, keyType: str) -> JsonObject:
    """Whether the caller has a key for a service, and since when (the server's local time)."""
    updated = await to_thread(call.state.api_keys.updated, call.caller.user.id, keyType)
    if updated is None:
        return {"status": "not set"}
    return {"status": f"last updated {datetime.fromtimestamp(updated):%Y-%m-%d %H:%M}"}
