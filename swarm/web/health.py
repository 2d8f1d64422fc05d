"""Whether the server lives, is ready and how busy it is, for programs that look after it."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from swarm.access.permissions import READ_SERVER_INFO_PANELS
from swarm.backends.backend import BackendStatus
from swarm.backends.types.local import LocalBackend
from swarm.base.json import Json, JsonObject, dumps
from swarm.base.tasks import to_thread
from swarm.state import AppState
from swarm.web.page import page

_COUNTERS = ("waiting_gens", "loading_models", "waiting_backends", "live_gens")


def _json(status: int, body: JsonObject) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(dumps(body), status_code=status, media_type="application/json", headers=headers)


@page("/health/live", methods=("GET", "HEAD"))
async def live(state: AppState, request: Request) -> Response:
    """200 as long as the server answers at all."""
    return _json(200, {"status": "live", "version": state.version})


@page("/health/ready", methods=("GET", "HEAD"))
async def ready(state: AppState, request: Request) -> Response:
    """200 when a backend runs and the server is not about to stop, else 503; `reason` says what is missing.

    `degraded`: that pictures cannot be saved at present, and why.
    """
    reason = _hindrance(state)
    body: dict[str, Json] = {"status": "ready" if reason is None else "not ready"}
    if state.outputs.trouble is not None:
        body["degraded"] = state.outputs.trouble
    return _json(200 if reason is None else 503, body if reason is None else {**body, "reason": reason})


def _hindrance(state: AppState) -> str | None:
    if state.stopping.is_asked or state.pool.closing:
        return "The server is about to stop."
    if not any(one.status is BackendStatus.RUNNING for one in state.pool.instances()):
        return str(state.pool.status()["message"]) or "No backend is running."
    return None


@page("/metrics", methods=("GET",), access=READ_SERVER_INFO_PANELS)
async def metrics(state: AppState, request: Request) -> Response:
    """Counters and gauges in Prometheus' text format. No names of users, models or pictures are among them."""
    ledger = {job_state.value: count for job_state, count in (await to_thread(state.queue.ledger)).items()}
    text = "".join(f"{line}\n" for line in _lines(state, ledger))
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4", headers={"Cache-Control": "no-store"})


def _lines(state: AppState, ledger: dict[str, int]) -> Iterator[str]:
    counters = state.generation.counters()
    yield "# HELP swarm_info The version of the server."
    yield "# TYPE swarm_info gauge"
    yield f'swarm_info{{version="{state.version}"}} 1'
    yield "# HELP swarm_jobs Jobs on record, by state. Old ones are forgotten after a month."
    yield "# TYPE swarm_jobs gauge"
    yield from (f'swarm_jobs{{state="{name}"}} {count}' for name, count in ledger.items())
    yield "# HELP swarm_work Pictures and models in hand, over all sessions."
    yield "# TYPE swarm_work gauge"
    yield from (f'swarm_work{{kind="{name}"}} {counters[name]}' for name in _COUNTERS)
    yield "# HELP swarm_loop_lag_seconds How long the event loop took to answer when it was last asked."
    yield "# TYPE swarm_loop_lag_seconds gauge"
    yield f"swarm_loop_lag_seconds {state.upkeep.loop_watch.lag:.3f}"
    yield "# HELP swarm_backends Backends, by status."
    yield "# TYPE swarm_backends gauge"
    statuses = [one.status for one in state.pool.instances()]
    yield from (f'swarm_backends{{status="{one.value}"}} {statuses.count(one)}' for one in BackendStatus)
    yield "# HELP swarm_compiled_blocks Blocks of loaded models that are compiled or wait for it (torchcompile)."
    yield "# TYPE swarm_compiled_blocks gauge"
    engines = ((one.id, one.backend.blocks) for one in state.pool.instances() if isinstance(one.backend, LocalBackend))
    for id, (ready, waiting) in engines:
        yield f'swarm_compiled_blocks{{backend="{id}",state="ready"}} {ready}'
        yield f'swarm_compiled_blocks{{backend="{id}",state="waiting"}} {waiting}'
