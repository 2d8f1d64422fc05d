"""The log of the server, for whoever may read it (swarm-core 6.3, 9.2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from swarm.access.permissions import VIEW_LOGS
from swarm.api.route import Body, Call, route
from swarm.api.shapes import Map, Shape
from swarm.base.errors import BadInput, Refused
from swarm.base.json import Json, JsonObject
from swarm.base.logs import LEVELS, LogBuffer, LogLine

_COLOURS = {
    "Verbose": "#606060",
    "Debug": "#808080",
    "Info": "#00FFFF",
    "Init": "#00FF00",
    "Warning": "#FFFF00",
    "Error": "#FF0000",
}

LOG_TYPE: Shape = {"name": str, "color": str, "identifier": str}
LOG_LINE: Shape = {"sequence_id": int, "time": str, "message": str}


@route("ListLogTypes", permission=VIEW_LOGS, answers={"types_available": [LOG_TYPE]})
async def list_log_types(call: Call) -> JsonObject:
    """The kinds of line: `{"types_available": [{"name": "Info", "color": "#00FFFF", "identifier": ""}, …]}`."""
    return {"types_available": _types()}


@route(
    "ListRecentLogMessages",
    permission=VIEW_LOGS,
    answers={"types_available": [LOG_TYPE], "last_sequence_id": int, "data": Map([LOG_LINE])},
)
async def list_recent_log_messages(call: Call, types: list[str], body: Body) -> JsonObject:
    """The latest lines of the kinds named in `types`, oldest first, at most 1024 of each; secrets are left out.

    `last_sequence_ids`: numbers by kind; only lines with a higher number are answered. `last_sequence_id` of the answer
    counts all lines since the start.
    """
    after = body.get("last_sequence_ids")
    logs, known = call.state.upkeep.logs, after if isinstance(after, dict) else {}
    last = logs.last_sequence
    data = {name: _messages(logs, name, _number(known, name)) for name in types if name in LEVELS}
    return {"types_available": _types(), "last_sequence_id": last, "data": data}


@route("LogSubmitToPastebin", permission=VIEW_LOGS, touches=True)
async def log_submit_to_pastebin(call: Call, type: str) -> JsonObject:
    """Always refused: this server sends its log nowhere. `type`: the least important level that was wanted."""
    if type.strip().lower() not in [level.lower() for level in LEVELS]:
        raise BadInput("Invalid log level type specified.")
    raise Refused(
        "Failed to submit log to pastebin - server error? This server never sends its log to other machines; "
        "copy the lines you want to show."
    )


def _types() -> list[Json]:
    return [{"name": level, "color": _COLOURS[level], "identifier": ""} for level in LEVELS]


def _messages(logs: LogBuffer, level: str, after: int) -> list[Json]:
    return [_message(line) for line in logs.lines_of(level, after)]


def _message(line: LogLine) -> Json:
    time = datetime.fromtimestamp(line.time).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return {"sequence_id": line.sequence, "time": time, "message": line.text}


def _number(by_kind: Mapping[str, Json], kind: str) -> int:
    """Raises BadInput for what is no number."""
    value = by_kind.get(kind, 0)
    try:
        return int(value)  # type: ignore[arg-type]  # whatever a client wrote
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"The last sequence id of '{kind}' must be a number.") from None
