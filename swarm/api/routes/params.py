"""What a request may say: the parameters, their groups, and the models to choose from (swarm-t2i 2)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import anyio

from swarm.access.permissions import CONTROL_MODEL_REFRESH, FUNDAMENTAL_GENERATE_TAB_ACCESS
from swarm.accounts.user import User
from swarm.accounts.userdata import PARAM_EDITS
from swarm.api.route import Call, route
from swarm.api.shapes import ANY, Map, Shape
from swarm.architectures.architecture import wire_classes, wire_compat_classes
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.catalog.catalog import Catalog
from swarm.params.wire import list_params
from swarm.state import AppState

REFRESH_PAUSE_SECONDS = 10.0
"""How old the last look at the disk must be before another one is taken."""

_logger = logging.getLogger(__name__)


@dataclass
class _Looks:
    """One look at the disk at a time, and when the last one that somebody asked for was taken."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    last: float = -math.inf

    async def take(self, state: AppState) -> None:
        if state.clock() - self.last >= REFRESH_PAUSE_SECONDS:
            await to_thread(state.catalog.refresh)
            await to_thread(state.wildcards.refresh)
            self.last = state.clock()


# Kept by catalog, so that two apps in one process share nothing.
_looks: WeakKeyDictionary[Catalog, _Looks] = WeakKeyDictionary()

T2I_PARAMS: Shape = {
    "list": [Map(ANY)],
    "groups": [Map(ANY)],
    "models": Map([ANY]),
    "model_compat_classes": Map(ANY),
    "model_classes": Map(ANY),
    "wildcards": [str],
    "param_edits": ANY,
}


@route("ListT2IParams", permission=FUNDAMENTAL_GENERATE_TAB_ACCESS, answers=T2I_PARAMS)
async def list_t2i_params(call: Call) -> JsonObject:
    """Every parameter this user may set, their groups, and all models by set, with the classes of models known here."""
    return await to_thread(_all_params, call.state, call.caller.user)


def _all_params(state: AppState, user: User) -> JsonObject:
    """Every model's name, and once more for each parameter that takes one: a tenth of a second for 20,000 models."""
    params, groups = list_params(state.params, state.choices_for(user), user.permits)
    return {
        "list": params,
        "groups": groups,
        "models": {
            subtype: [model for model in models if model[0] is None or user.permits_model(model[0])]
            for subtype, models in state.catalog.wire_models().items()
        },
        "model_compat_classes": wire_compat_classes(state.architectures.values()),
        "model_classes": wire_classes(state.architectures.values()),
        "wildcards": [name for name in state.wildcards.names() if user.permits_model(name)],
        "param_edits": state.user_data.get(user.id, PARAM_EDITS),
    }


@route("TriggerRefresh", permission=FUNDAMENTAL_GENERATE_TAB_ACCESS, touches=True, answers=T2I_PARAMS)
async def trigger_refresh(call: Call, strong: bool = True, refreshType: str = "") -> JsonObject:
    """Look at the model folders again, then answer as `ListT2IParams` does.

    Nothing new is read when `strong` is false, when the last look was less than 10 seconds ago, or when the permission
    `control_model_refresh` is missing; the call then only waits for a look that is being taken. `refreshType`: empty
    for everything, or `wildcards`.
    """
    kind = refreshType.strip().lower()
    if kind not in ("", "wildcards"):
        _logger.warning("A refresh of the unknown kind %.80r was asked for; nothing is refreshed.", refreshType)
    wants_models = strong and not kind and call.caller.user.permits(CONTROL_MODEL_REFRESH)
    looks = _looks.setdefault(call.state.catalog, _Looks())
    async with looks.lock:
        if wants_models:
            await looks.take(call.state)
        elif strong and kind == "wildcards" and call.caller.user.permits(CONTROL_MODEL_REFRESH):
            await to_thread(call.state.wildcards.refresh)
    return await list_t2i_params.handler(call) or {}
