"""Pages outside the API on the real server: who answers which method, and where the rest leads (swarm-core 8.1)."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from tests.support.client import SwarmClient

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]


def ask(client: SwarmClient, method: str, target: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(client.base).netloc, timeout=20)
    connection.putrequest(method, target)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


@pytest.mark.parametrize("target", ["/", "/View/x", "/view/x", "/Output/x", "/ViewSpecial/a/b", "/View", "/Output"])
def test_pages_for_get_only_refuse_the_rest(client: SwarmClient, target: str) -> None:
    for method in METHODS[1:]:
        status, headers, body = ask(client, method, target)
        assert (status, headers["allow"], body) == (405, "GET", b""), method
    assert ask(client, "GET", target)[0] != 405


@pytest.mark.parametrize("target", ["/favicon.ico", "/imgs/model_placeholder.jpg", "/js/main.js"])
def test_static_files_are_for_get_and_head_and_conditional(client: SwarmClient, target: str) -> None:
    status, headers, body = ask(client, "GET", target)
    assert status == 200 and body
    assert "etag" in headers and "last-modified" in headers
    status, head, nothing = ask(client, "HEAD", target)
    assert (status, nothing, head["content-length"]) == (200, b"", str(len(body)))
    for method in METHODS[2:]:
        assert ask(client, method, target)[0] == 405
    again = client.http.get(target, headers={"If-None-Match": headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("target", ["/Text2Image", "/text2image", "/TEXT2IMAGE?impersonate=bob"])
def test_the_main_page_answers_any_method(client: SwarmClient, target: str) -> None:
    for method in METHODS:
        status, headers, _ = ask(client, method, target)
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/html"), method


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/Error/404", 404),
        ("/Error/Internal", 500),
        ("/Error/BasicAPI", 200),
        ("/Error/NoGetAPI", 200),
        ("/Error/Permissions", 200),
        ("/error/nogetapi", 200),
    ],
)
def test_error_pages_have_their_status(client: SwarmClient, target: str, expected: int) -> None:
    for method in METHODS:
        status, headers, body = ask(client, method, target)
        assert (status, headers["content-type"].partition(";")[0]) == (expected, "text/html"), method
        assert method == "HEAD" or b"<h1>" in body


def test_the_root_leads_on_relatively(client: SwarmClient) -> None:
    status, headers, body = ask(client, "GET", "/")
    assert (status, headers["location"], body) == (302, "Text2Image", b"")


NOWHERE = [
    *("/nothing", "/Text2Image/", "/Error", "/Error/405", "/css/nothing.css", "/js/", "/js", "/imgs/x.exe"),
    *("/fonts/../../README.md", "/%0A", "/Text2Image%0A", "/x%0Ay", "/x%00y", "/wp-login.php", "/swarm/app.py"),
    *("/" + "a" * 3000, "/API2/GetNewSession", "/Views/x"),
]


@pytest.mark.parametrize("target", NOWHERE, ids=lambda target: target[:30])
def test_whatever_else_is_asked_leads_to_the_404_page(client: SwarmClient, target: str) -> None:
    for method in ("GET", "POST"):
        status, headers, body = ask(client, method, target)
        if status == 405:
            assert method == "POST" and headers["allow"] == "GET, HEAD"
        else:
            assert (status, headers["location"], body) == (302, "/Error/404", b"")
