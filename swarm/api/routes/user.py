"""What the caller keeps on the server: stars, edits of parameters, links; and small talk (swarm-core 5.5 to 5.16)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from swarm.access.permissions import (
    EDIT_PARAMS,
    FUNDAMENTAL_GENERATE_TAB_ACCESS,
    FUNDAMENTAL_MODEL_ACCESS,
    SERVER_DEBUG_MESSAGE,
)
from swarm.accounts.user import User
from swarm.accounts.userdata import PARAM_EDITS, PRESET_LINKS, STARRED_MODELS
from swarm.api.route import Body, Call, route
from swarm.api.routes.presets import PRESET, listed
from swarm.api.shapes import ANY, SUCCESS, Map, Null, Shape
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.state import AppState

_LONGEST_MESSAGE = 10_000
_logger = logging.getLogger(__name__)

USER_DATA: Shape = {
    "user_name": str,
    "presets": [PRESET],
    "language": str,
    "permissions": [str],
    "starred_models": Map(ANY),
    "model_preset_links": Map(ANY),
    "autocompletions": Null([str]),
}


@route("GetMyUserData", permission=FUNDAMENTAL_GENERATE_TAB_ACCESS, answers=USER_DATA)
async def get_my_user_data(call: Call) -> JsonObject:
    """Who the caller is, and what they have saved: presets, starred models, and presets linked to models."""
    return await to_thread(_user_data, call.state, call.caller.user)


def _user_data(state: AppState, user: User) -> JsonObject:
    return {
        "user_name": user.id,
        "presets": [listed(preset, state.presets.edit_id) for preset in state.presets.of_user(user.id)],
        "language": user.settings.language,
        "permissions": user.permission_ids(),
        "starred_models": state.user_data.get(user.id, STARRED_MODELS) or {},
        "model_preset_links": state.user_data.get(user.id, PRESET_LINKS) or {},
        "autocompletions": state.upkeep.word_lists.entries(user.settings.auto_complete),
    }


@route("SetStarredModels", permission=FUNDAMENTAL_MODEL_ACCESS, touches=True, answers=SUCCESS)
async def set_starred_models(call: Call, stars: Body) -> JsonObject:
    """Keep the whole body as the caller's starred models, in place of the last ones: `{"LoRA": ["name"]}`."""
    await to_thread(call.state.user_data.set, call.caller.user.id, STARRED_MODELS, stars)
    return {"success": True}


@route("SetPresetLinks", permission=FUNDAMENTAL_MODEL_ACCESS, touches=True, answers=SUCCESS)
async def set_preset_links(call: Call, links: Body) -> JsonObject:
    """Keep the whole body as the presets linked to models: `{"LoRA": {"name": ["Preset"]}}`."""
    await to_thread(call.state.user_data.set, call.caller.user.id, PRESET_LINKS, links)
    return {"success": True}


@route("SetParamEdits", permission=EDIT_PARAMS, touches=True, answers=SUCCESS)
async def set_param_edits(call: Call) -> JsonObject:
    """Keep the object `edits`: how the caller wants parameters to be shown. `ListT2IParams` gives it back."""
    edits = call.body.get("edits")
    if not isinstance(edits, Mapping):
        raise BadInput("The object 'edits' is missing.")
    await to_thread(call.state.user_data.set, call.caller.user.id, PARAM_EDITS, edits)
    return {"success": True}


@route(
    "GetLanguage",
    permission=FUNDAMENTAL_GENERATE_TAB_ACCESS,
    answers={"language": {"code": str, "name": str, "local_name": str, "keys": Map(str)}},
)
async def get_language(call: Call, language: str) -> JsonObject:
    """The translations of the page into a language, by its code: `en`, or a file `<code>.json` in `Data/Languages`."""
    found = await to_thread(call.state.upkeep.languages.find, language)
    if found is None:
        raise NotFound("No such language.")
    about: JsonObject = {"code": found.code, "name": found.name, "local_name": found.local_name, "keys": found.keys}
    return {"language": about}


@route("ServerDebugMessage", permission=SERVER_DEBUG_MESSAGE, answers=SUCCESS)
async def server_debug_message(call: Call, message: str) -> JsonObject:
    """Write a line into the server's log."""
    line = "".join(letter if letter.isprintable() else " " for letter in message[:_LONGEST_MESSAGE])
    _logger.info("%s says: %s", call.caller.user.id, line)
    return {"success": True}
