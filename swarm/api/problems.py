"""The wire's own errors: what the API layer answers before or instead of a handler (swarm-core 1.3)."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.base.database import BUSY, DISK_FULL
from swarm.base.errors import BackendError, UserError
from swarm.base.json import Json, JsonObject


@dataclass(frozen=True)
class Problem:
    """An error with its HTTP status. `socket_body`: what a WebSocket is told, where its spelling differs."""

    status: int
    body: JsonObject
    socket_body: JsonObject | None = None

    @property
    def message(self) -> JsonObject:
        """The message for a WebSocket."""
        return self.body if self.socket_body is None else self.socket_body


WRONG_CONTENT_TYPE = Problem(400, {"error_id": "basic_api", "error": "Wrong content type"})
BAD_LENGTH = Problem(400, {"error_id": "basic_api", "error": "bad content length"})
INTERNAL_ERROR = Problem(400, {"error_id": "internal_error", "error": "An internal error occurred"})
MISSING_SESSION = Problem(400, {"error_id": "basic_api", "error": "missing session id"})
INVALID_SESSION = Problem(
    401, {"error": "Invalid session ID. You may need to refresh the page.", "error_id": "invalid_session_id"}
)
UNKNOWN_ROUTE = Problem(
    400,
    {"error_id": "bad_route", "error": "Unknown API route"},
    {"error": "Unknown API route.", "error_id": "bad_route"},
)
NEEDS_WEBSOCKET = Problem(
    400, {"error_id": "bad_request_method", "error": "API route needs websocket, request is HTTP"}
)
NEEDS_HTTP = Problem(400, {"error_id": "bad_request_method", "error": "API route needs HTTP, request is websocket"})
LACKS_PERMISSION = Problem(
    400,
    {"error_id": "bad_permissions", "error": "You lack permissions for this route."},
    {"error": "You lack permissions for this route.", "error_id": "bad_permissions"},
)
_STATUSES = {BUSY: 503, DISK_FULL: 507}
NO_RESULT = Problem(400, {"error_id": "no_result", "error": "API call did not return any output"})


def told(error: UserError | BackendError) -> Problem:
    """An error whose sentence is for the caller."""
    body: dict[str, Json] = {"error": error.sentence}
    if isinstance(error, UserError) and error.error_id is not None:
        body["error_id"] = error.error_id
    return answered(body)


def answered(body: JsonObject) -> Problem:
    """What a handler answers: status 200, even for its failures, but for those of the server's disk."""
    return Problem(_STATUSES.get(str(body.get("error_id")), 200), body)
