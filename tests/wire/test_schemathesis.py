"""The OpenAPI document against a running server: what schemathesis draws from it finds no fault on any route."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from swarm.api.binding import arguments_of, bind
from swarm.app import PROGRAM
from swarm.base.errors import BadInput
from swarm.base.json import loads
from swarm.declarations import collect_declarations
from swarm.extend.load import load_extensions
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

ROUTES = collect_declarations(
    [module for extension in load_extensions(PROGRAM / "extensions") for module in extension.modules]
).routes
NAMES = sorted(route.name for route in ROUTES.values() if not route.websocket)
EXAMPLES = int(os.environ.get("SWARM_EXAMPLES", "4"))


@schemathesis.check
def bad_input_is_told(context: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """What the wire's rules cannot bind is answered with a sentence: status 400, or 200 with `error`."""
    route = ROUTES[case.operation.definition.raw["operationId"].lower()]
    try:
        body = loads(_sent(response))
        if not isinstance(body, dict):
            raise BadInput("The body must be an object.")
        bind(arguments_of(route), body)
    except BadInput:
        told = response.status_code in (400, 401) or "error" in response.json()
        assert told, f"{route.name} took {case.body!r} and answered {response.text}"
    return None


@schemathesis.check
def auth_is_not_ignored(context: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Without a session and with a wrong one nothing is answered. The wire says 400 to the first, which the check
    that schemathesis brings does not take for a refusal."""
    if not case.operation.definition.raw["security"] or not isinstance(case.body, dict) or "session_id" in case.body:
        return None
    url = response.request.url or ""
    missing = httpx2.post(url, json={}, trust_env=False)
    unknown = httpx2.post(url, content=_sent(response), headers=_stranger(response), trust_env=False)
    assert (missing.status_code, missing.json()["error"]) == (400, "missing session id")
    assert (unknown.status_code, unknown.json()["error_id"]) == (401, "invalid_session_id")
    return None


def _sent(response: Response) -> bytes:
    body = response.request.body
    return body if isinstance(body, bytes) else b""


def _stranger(response: Response) -> dict[str, str]:
    return {"Content-Type": "application/json", "X-Session-ID": "0" * 40}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    """One server for all routes, with the fake backend."""
    world = World(tmp_path_factory.mktemp("schemathesis"))
    world.backends(StepMilliseconds=0)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    with ExitStack() as stack:
        base = stack.enter_context(server_in_thread(options_for(world.folder)))
        yield stack.enter_context(SwarmClient(base))


@pytest.fixture(scope="module")
def document(session: SwarmClient) -> Any:
    return session.http.get("/openapi.json").json()


def test_the_document_names_every_route_with_what_it_takes_and_answers(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {f"/API/{route.name}" for route in ROUTES.values()}
    login = document["paths"]["/API/GetNewSession"]["post"]
    assert login["security"] == [] and "x-permission" not in login
    stars = document["paths"]["/API/ToggleImageStarred"]["post"]
    assert (stars["x-permission"], stars["security"]) == ("user_star_images", [{"session_id": []}])
    assert stars["requestBody"]["content"]["application/json"]["schema"]["required"] == ["path"]
    answer = stars["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0]
    assert answer["properties"] == {"new_state": {"type": "boolean"}}
    assert document["paths"]["/API/SelectModelWS"]["post"]["x-websocket"] is True


def test_the_page_for_people_needs_nothing_from_elsewhere(session: SwarmClient) -> None:
    answer = session.http.get("/API")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert not any(word in answer.text for word in ("src=", 'href="http', "url(", "<script", "<link"))
    assert all(f'id="{route.name}"' in answer.text for route in ROUTES.values())


@pytest.mark.case("I1")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does-not-fit"])
def test_no_fault_is_found(name: str, mode: GenerationMode, session: SwarmClient, document: Any) -> None:
    operation = schemathesis.openapi.from_dict(document)[f"/API/{name}"]["POST"]
    checks = [not_a_server_error, response_schema_conformance, auth_is_not_ignored, bad_input_is_told]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        headers = {"X-Session-ID": session.session_id}
        case.call_and_validate(base_url=session.base, checks=checks, headers=headers)

    check()
