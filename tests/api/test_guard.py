"""Other pages cannot use a visitor's browser; clients that are not browsers notice nothing (security-cases T40-T45)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from swarm.api.guard import Guard
from swarm.settings.server import NetworkSettings

HOST = "localhost:7801"
PAGE = {"Content-Security-Policy": "default-src 'self'"}


class Site:
    """A guarded app that counts what gets through."""

    def __init__(self, network: NetworkSettings, names: frozenset[str] = frozenset(), address: str = "9.9.9.9") -> None:
        self.reached = 0

        async def anything(request: Request) -> Response:
            self.reached += 1
            return Response("hello", headers=PAGE if request.url.path == "/page" else {})

        async def socket(websocket: WebSocket) -> None:
            self.reached += 1
            await websocket.accept()
            await websocket.close()

        methods = ["GET", "HEAD", "POST", "OPTIONS", "PUT"]
        app = Starlette(routes=[Route("/{path:path}", anything, methods=methods), WebSocketRoute("/API/WS", socket)])
        guarded = Guard(app, network=lambda: network, names=names)
        self.client = TestClient(guarded, base_url=f"http://{HOST}", client=(address, 5), follow_redirects=False)

    def status(self, method: str, path: str, headers: dict[str, str] | Sequence[tuple[str, str]] = ()) -> int:
        return self.client.request(method, path, headers=headers or {}).status_code

    def upgrade(self, headers: dict[str, str]) -> int:
        """Status of a WebSocket upgrade: 101 when it is accepted."""
        try:
            with self.client.websocket_connect("/API/WS", headers={"Host": HOST, **headers}):
                return 101
        except WebSocketDisconnect as refused:
            status: Any = getattr(refused, "status_code", 403)
            return int(status)


@pytest.fixture
def site() -> Site:
    return Site(NetworkSettings())


def test_clients_without_browser_headers_pass(site: Site) -> None:
    for method in ["GET", "POST", "PUT", "OPTIONS"]:
        assert site.status(method, "/API/GetNewSession") == 200
    assert site.upgrade({}) == 101


OWN = [
    "localhost",
    "localhost:7801",
    "LOCALHOST:1",
    "127.0.0.1:7801",
    "[::1]:7801",
    "192.168.1.7:7801",
    "a.localhost",
    "localhost.",
]
FOREIGN = [
    "evil.com",
    "evil.com:7801",
    "127.0.0.1.evil.com",
    "0.0.0.0",
    "[::]",
    "localhost.evil.com",
    "xlocalhost",
    "2130706433",
]
MALFORMED = [
    "",
    "a/b?x",
    "localhost#",
    "localhost\\admin",
    "localhost:port",
    "local host",
    "localhost:",
    "::1",
    "a@localhost",
    "[::1",
]


@pytest.mark.parametrize("host", OWN)
def test_own_names_are_known(site: Site, host: str) -> None:
    assert site.status("GET", "/", {"Host": host}) == 200


@pytest.mark.case("T40", "T45")
@pytest.mark.parametrize(("host", "status"), [*((host, 421) for host in FOREIGN), *((host, 400) for host in MALFORMED)])
def test_other_names_reach_nothing(site: Site, host: str, status: int) -> None:
    answer = site.client.post("/API/GetNewSession", headers={"Host": host})
    assert (answer.status_code, answer.json()["error_id"], site.reached) == (status, "bad_host", 0)
    assert site.upgrade({"Host": host}) != 101
    assert site.reached == 0


def test_names_of_the_machine_and_configured_names() -> None:
    site = Site(NetworkSettings(allowed_hosts="pictures.example, box.example:8080"), names=frozenset({"studio"}))
    for host, status in [
        ("studio:7801", 200),
        ("pictures.example:1", 200),
        ("box.example:8080", 200),
        ("box.example", 421),
    ]:
        assert site.status("GET", "/", {"Host": host}) == status
    page = {"Host": "127.0.0.1:7801", "Origin": "https://pictures.example", "Sec-Fetch-Site": "same-origin"}
    assert site.status("POST", "/API/X", page) == 200


CROSS = [
    {"Origin": "https://evil.com"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost.evil.com:7801"},
    {"Origin": "http://user@localhost:7801/"},
    {"Origin": "garbage"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.com"},
]


@pytest.mark.case("T41", "T43")
@pytest.mark.parametrize("headers", CROSS)
def test_foreign_pages_call_nothing(site: Site, headers: dict[str, str]) -> None:
    for method, path in [("POST", "/API/GetNewSession"), ("GET", "/api/x"), ("OPTIONS", "/API/X"), ("POST", "/View/x")]:
        answer = site.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error_id"]) == (403, "bad_origin")
    assert site.upgrade(headers) == 403
    assert site.reached == 0


OWN_PAGES = [
    {"Origin": f"http://{HOST}"},
    {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("headers", OWN_PAGES)
def test_own_pages_pass(site: Site, headers: dict[str, str]) -> None:
    assert site.status("POST", "/API/GetNewSession", headers) == 200
    assert site.upgrade(headers) == 101


def test_a_proxy_with_tls_passes() -> None:
    site = Site(NetworkSettings(allowed_hosts="swarm.example"))
    assert site.status("POST", "/API/X", {"Host": "swarm.example", "Origin": "https://swarm.example"}) == 200
    assert site.status("POST", "/API/X", {"Host": "swarm.example", "Origin": "https://swarm.example:444"}) == 200
    assert site.status("POST", "/API/X", {"Host": "swarm.example", "Origin": "https://other.example"}) == 403


def test_links_from_elsewhere_may_be_followed_but_nothing_embedded(site: Site) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert site.status("GET", "/page", link) == 200
    assert (
        site.status("GET", "/View/local/x.png", {**link, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}) == 403
    )
    assert site.status("GET", "/page", {**link, "Sec-Fetch-Dest": "iframe"}) == 403


@pytest.mark.case("T44")
def test_cors_for_one_origin() -> None:
    site = Site(NetworkSettings(access_control_allow_origin="https://friend.example"))
    friend = {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"}
    answer = site.client.options("/API/X", headers=friend)
    assert (answer.status_code, answer.content, site.reached) == (204, b"", 0)
    assert answer.headers["access-control-allow-methods"] == "*"
    assert answer.headers["access-control-allow-headers"] == "*"
    assert answer.headers["access-control-max-age"] == "3600"
    assert site.status("POST", "/API/X", friend) == 200
    assert site.upgrade(friend) == 101
    assert site.client.get("/").headers["access-control-allow-origin"] == "https://friend.example"
    assert site.status("POST", "/API/X", {"Origin": "https://evil.com"}) == 403


def test_a_page_that_is_allowed_shows_pictures() -> None:
    """An <img> sends no Origin, only the address of its page, which no page can forge."""
    allowed = Site(NetworkSettings(access_control_allow_origin="https://friend.example"))
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    for referer in ("https://friend.example", "https://friend.example/", "https://friend.example/page?x"):
        assert allowed.status("GET", "/View/x.png", {**image, "Referer": referer}) == 200
        assert allowed.status("POST", "/API/X", {**image, "Referer": referer}) == 403
        assert Site(NetworkSettings()).status("GET", "/View/x.png", {**image, "Referer": referer}) == 403
    for referer in ("https://friend.example.evil.com/", "https://evil.com/https://friend.example/", ""):
        assert allowed.status("GET", "/View/x.png", {**image, "Referer": referer}) == 403
    assert allowed.status("GET", "/View/x.png", image) == 403


@pytest.mark.case("T44")
def test_cors_for_everyone_and_for_nobody(site: Site) -> None:
    everyone = Site(NetworkSettings(access_control_allow_origin="*"))
    answer = everyone.client.post("/API/X", headers={"Origin": "https://any.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in site.client.get("/").headers


def test_required_authorization() -> None:
    network = NetworkSettings(required_authorization="Bearer abc")
    for path in ["/API/X", "/Text2Image", "/css/x.css"]:
        answer = Site(network).client.get(path)
        assert (answer.status_code, answer.text) == (401, "Unauthorized")
    assert Site(network).upgrade({}) == 401
    assert Site(network).status("GET", "/", {"Authorization": "Bearer abc"}) == 200
    assert Site(network).status("GET", "/", {"Authorization": "bearer abc"}) == 401
    assert Site(network, address="::ffff:127.0.0.1").status("GET", "/") == 200
    assert Site(network).status("GET", "/", {"X-Forwarded-For": "127.0.0.1"}) == 401


def test_every_response_carries_security_headers(site: Site) -> None:
    answer = site.client.get("/View/x")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert site.client.get("/page").headers["content-security-policy"] == "default-src 'self'"
    assert "referrer-policy" in site.client.get("/", headers={"Host": "evil.com"}).headers


@pytest.mark.case("T40")
def test_two_hosts_are_refused(site: Site) -> None:
    assert site.status("GET", "/", [("Host", HOST), ("Host", "evil.com")]) == 400


def test_headers_and_addresses_have_limits(site: Site) -> None:
    assert site.status("GET", "/", {f"X-{number}": "x" for number in range(190)}) == 200
    assert site.status("GET", "/", {f"X-{number}": "x" for number in range(200)}) == 431
    assert site.status("GET", "/", {"X-Big": "x" * 1024 * 1024}) == 431
    assert site.status("GET", "/" + "a" * 16_000) == 200
    assert site.status("GET", "/" + "a" * 10_000 + "?" + "b" * 10_000) == 414
