"""Pages and static files: methods, redirects, stamps and conditional requests (swarm-core 8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

import swarm.web.errors
import swarm.web.pages
import swarm.web.static
from swarm.base.errors import BadInput, NotFound
from swarm.base.registry import Registry, declared_in
from swarm.web.page import Page, page
from swarm.web.pages import page_routes
from swarm.web.static import STATIC
from tests.support.tiny_state import tiny_state


@page("/Thing/{path:path}", methods=("GET",))
async def thing(state: Any, request: Request) -> Response:
    """Fails on demand."""
    if request.path_params["path"] == "missing":
        raise NotFound("404, file not found.", error_id="file_not_found")
    raise BadInput("No.", error_id="bad_path")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    modules = [swarm.web.errors, swarm.web.pages, swarm.web.static]
    declared = [pair for module in modules for pair in declared_in(module, Page)]
    pages = Registry([*declared, (__name__, thing)])
    with TestClient(Starlette(routes=page_routes(tiny_state(), pages)), follow_redirects=False) as client:
        yield client


def test_the_root_leads_to_the_main_page(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (302, "Text2Image")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/Thing/x"])
def test_pages_for_get_only_say_so(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path", ["/Nothing", "/css/../index.html", "/css/none.css", "/js/none.py", "/text2imagex", "/css/"]
)
def test_whatever_leads_nowhere_leads_to_the_404_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, "/Error/404")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Error/404", 404),
        ("/error/INTERNAL", 500),
        ("/Error/BasicAPI", 200),
        ("/Error/NoGetAPI", 200),
        ("/Error/Permissions", 200),
    ],
)
def test_error_pages(client: TestClient, path: str, status: int) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "script" not in answer.headers["content-security-policy"]


def test_sentences_become_json(client: TestClient) -> None:
    missing, refused = client.get("/Thing/missing"), client.get("/thing/other")
    assert (missing.status_code, missing.content) == (
        404,
        b'{"error":"404, file not found.","error_id":"file_not_found"}',
    )
    assert (refused.status_code, refused.json()) == (400, {"error": "No.", "error_id": "bad_path"})


def test_the_main_page_is_stamped_and_has_a_policy(client: TestClient) -> None:
    answer = client.get("/text2image")
    assert answer.status_code == 200
    assert "?vary=1.2.3" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"].split("script-src")[1].split(";")[0]


def test_static_files_are_conditional(client: TestClient) -> None:
    style = next((STATIC / "css").rglob("*.css"))
    path = f"/CSS/{style.relative_to(STATIC / 'css')}"
    first = client.get(path)
    assert (first.status_code, first.headers["content-type"]) == (200, "text/css; charset=utf-8")
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = client.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, str(style.stat().st_size))
    refused = client.post(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
