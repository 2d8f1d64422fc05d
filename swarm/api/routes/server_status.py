"""The machine, the work in hand, and who is connected (swarm-core 6.5, 9.3)."""

from __future__ import annotations

from collections import Counter

from swarm.access.permissions import READ_SERVER_INFO_PANELS
from swarm.accounts.user import User
from swarm.api.route import Call, route
from swarm.api.shapes import ANY, STATUS, Map, Shape
from swarm.base.clock import ago_text
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread
from swarm.state import AppState

_PRESENT_SECONDS = 180.0

RESOURCES: Shape = {
    "cpu": {"usage": float, "cores": int},
    "system_ram": {"total": int, "used": int, "free": int},
    "gpus?": Map(Map(ANY)),
}
CONNECTED: Shape = {
    "id": str,
    "last_active_seconds": float,
    "active_sessions": [{"address": str, "count": int}],
    "last_active": str,
    "waiting_gens": int,
    "loading_models": int,
    "waiting_backends": int,
    "live_gens": int,
}


@route("GetServerResourceInfo", permission=READ_SERVER_INFO_PANELS, answers=RESOURCES)
async def get_server_resource_info(call: Call) -> JsonObject:
    """Processor, memory and NVIDIA devices: `{"cpu": …, "system_ram": …, "gpus": {"0": …}}`, sizes in bytes.

    `cpu.usage` is the share of one core that this server uses. Without NVIDIA devices there is no `gpus`.
    """
    age = max(0, call.state.settings.nvidia_query_rate_limit_ms) / 1000
    return await to_thread(call.state.upkeep.machine.read, age)


@route("GetGlobalStatus", permission=READ_SERVER_INFO_PANELS, answers=STATUS)
async def get_global_status(call: Call) -> JsonObject:
    """Like GetCurrentStatus, with the counters of all sessions of all users together."""
    return call.state.generation.global_status()


@route("ListConnectedUsers", permission=READ_SERVER_INFO_PANELS, answers={"users": [CONNECTED]})
async def list_connected_users(call: Call) -> JsonObject:
    """Who called within the last three minutes or has work in hand, from where, and how much: `{"users": […]}`."""
    return {"users": await to_thread(_users, call.state)}


def _users(state: AppState) -> list[Json]:
    now = state.clock()
    rows = [_row(state, user, now) for user in state.users.everyone() if not user.id.startswith("__")]
    return [row for row in rows if row is not None]


def _row(state: AppState, user: User, now: float) -> JsonObject | None:
    """A connected user; None for one who is not."""
    counters = state.generation.counters(user.id)
    if now - user.last_present > _PRESENT_SECONDS and not any(counters.values()):
        return None
    idle = max(0.0, now - user.last_used)
    used = [one for one in state.sessions.of_user(user.id) if now - one.last_used <= _PRESENT_SECONDS]
    origins = Counter(one.origin for one in used)
    return {
        "id": user.id,
        "last_active_seconds": idle,
        "active_sessions": [{"address": origin, "count": count} for origin, count in origins.items()],
        "last_active": ago_text(idle),
        **counters,
    }
