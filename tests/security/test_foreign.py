"""Pages of other sites and odd callers, against every route that there is; and what every answer says to browsers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from swarm.api.route import Route
from swarm.app import PROGRAM
from swarm.declarations import collect_declarations
from swarm.extend.load import load_extensions
from tests.conftest import World
from tests.support.accounts import Member, Owner, accounts_mode
from tests.support.models import write_model
from tests.support.raw import exchange, head, status_of
from tests.support.server import options_for, server_in_thread

ROUTES: list[Route] = list(
    collect_declarations(
        [module for extension in load_extensions(PROGRAM / "extensions") for module in extension.modules]
    ).routes.values()
)
SOCKETS = [route.name for route in ROUTES if route.websocket]
EVIL: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
]


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    world = World(tmp_path_factory.mktemp("foreign"))
    world.backends(StepMilliseconds=0)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    accounts_mode(world.data)
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as client:
        yield client


@pytest.fixture(scope="module")
def admin(owner: Owner) -> Iterator[Member]:
    """Somebody whose browser holds a login that may do anything."""
    with owner.invite("the_admin", "owner") as member:
        assert member.session_id
        yield member


def refused(member: Member, route: str, headers: dict[str, str]) -> int:
    """The status that an upgrade to a socket is refused with; 101 when it is not."""
    cookie = {"Cookie": f"swarm_token={member.token}"}
    try:
        with connect(
            member.base.replace("http", "ws", 1) + f"/API/{route}", additional_headers={**cookie, **headers}, proxy=None
        ):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.case("T41")
def test_no_route_answers_a_page_of_another_site(admin: Member) -> None:
    for route in ROUTES:
        for headers in EVIL:
            answer = admin.raw(route.name, {"session_id": admin.session_id}, **headers)
            assert (answer.status_code, answer.json()["error_id"]) == (403, "bad_origin"), route.name
            assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers


@pytest.mark.case("T42")
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"]
)
def test_no_route_takes_what_a_form_can_send(admin: Member, kind: str) -> None:
    body = json.dumps({"session_id": admin.session_id, "title": "formed", "settings": {}}).encode()
    for route in ROUTES:
        headers = {"Content-Type": kind} if kind else {}
        answer = admin.http.post(f"/API/{route.name}", content=body, headers=headers)
        assert answer.status_code in (400, 415) and answer.json()["error"], route.name
    assert admin.post("GetMyUserData")["presets"] == []


@pytest.mark.case("T42")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_nothing_but_a_post_calls_a_route(admin: Member, method: str) -> None:
    for route in ("Logout", "ShutdownServer", "DeletePreset", "GetNewSession", "InterruptAll"):
        target = f"/API/{route}?session_id={admin.session_id}"
        answer = admin.http.request(method, target, follow_redirects=False)
        assert answer.status_code in (302, 400, 403, 405) and "set-cookie" not in answer.headers
    assert "error" not in admin.post("GetMyUserData")


@pytest.mark.case("T43")
@pytest.mark.parametrize("route", SOCKETS)
def test_no_socket_opens_for_a_page_of_another_site(admin: Member, route: str) -> None:
    for headers in EVIL:
        assert refused(admin, route, headers) == 403
    assert refused(admin, route, {}) == 101
    assert refused(admin, route, {"Origin": admin.base, "Sec-Fetch-Site": "same-origin"}) == 101


@pytest.mark.case("T43", "T46")
@pytest.mark.parametrize("route", SOCKETS)
def test_a_socket_wants_a_session_like_its_http_twin(owner: Owner, admin: Member, route: str) -> None:
    ended = Member(owner.base, owner.member("the_admin").token)
    old = ended.session_id
    ended.post("Logout")
    bodies: list[Any] = [{}, {"session_id": ""}, {"session_id": "0" * 40}, {"session_id": old}, {"session_id": [1]}]
    with Member(owner.base) as stranger:
        for body in bodies:
            twin = stranger.raw("GetCurrentStatus", body)
            with stranger.socket(route) as socket:
                socket.send(json.dumps(body))
                told = json.loads(socket.recv(20))
            assert told == twin.json() and told["error_id"] in ("basic_api", "invalid_session_id")
            assert twin.status_code in (400, 401)
    ended.http.close()


@pytest.mark.case("T46")
def test_somebody_elses_session_is_no_use_after_it_has_ended(owner: Owner) -> None:
    with owner.invite("brief", "user") as member, Member(owner.base) as thief:
        session = member.session_id
        assert owner.post("AdminDeleteUser", name="brief") == {"success": True}
        assert thief.raw("GetCurrentStatus", {"session_id": session}).json()["error_id"] == "invalid_session_id"


@pytest.mark.case("T44")
@pytest.mark.parametrize("path", ["/API/GetNewSession", "/View/x.png", "/Text2Image", "/health/live"])
def test_a_preflight_from_elsewhere_is_told_nothing(admin: Member, path: str) -> None:
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = admin.http.options(path, headers=asks)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


HOSTS = ("evil.example", "evil.example:7801", "127.0.0.1.evil.example", "0.0.0.0", "", "a/b?x", "localhost#")


@pytest.mark.case("T40", "T45")
@pytest.mark.parametrize("host", [*HOSTS, "localhost\\admin", "localhost@evil.example", "localhost evil", "[::1"])
def test_nothing_answers_to_another_name(admin: Member, host: str) -> None:
    """Not even pages without a login: a name that is not ours may be pointed here by anybody."""
    for target in ("/API/GetNewSession", "/Text2Image", "/health/live", "/css/base.css", "/nowhere"):
        answer = exchange(admin.base, head("GET", target, "Connection: close", host=host))
        assert status_of(answer) in (400, 421) and b"set-cookie" not in answer.lower(), target
    asked = "Content-Type: application/json", "Content-Length: 2", "Connection: close"
    answer = exchange(admin.base, head("POST", "/API/GetNewSession", *asked, host=host) + b"{}")
    assert status_of(answer) in (400, 421) and b"session_id" not in answer


@pytest.mark.case("T40", "T45")
def test_two_hosts_and_a_host_in_the_request_line(admin: Member) -> None:
    twice = exchange(admin.base, head("GET", "/health/live", "Host: evil.example", "Connection: close"))
    assert status_of(twice) == 400
    for target in ("http://evil.example/metrics", "http://localhost@evil.example/metrics"):
        absolute = exchange(admin.base, head("GET", target, "X-Forwarded-For: 203.0.113.7", "Connection: close"))
        assert status_of(absolute) in (400, 401, 403, 404, 421, 302)
    far = {"X-Forwarded-For": "203.0.113.7"}
    with Member(admin.base) as stranger:
        normal = stranger.http.get("/metrics", headers=far).status_code
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:9"):
        answer = exchange(
            admin.base, head("GET", "/metrics", "X-Forwarded-For: 203.0.113.7", "Connection: close", host=host)
        )
        assert status_of(answer) == normal == 401


FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def check_headers(headers: dict[str, str], kind: str) -> None:
    assert {name: headers.get(name) for name in FIXED} == FIXED, kind
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy or "sandbox" in policy, kind
    assert "default-src 'none'" in policy or "script-src 'self'" in policy, kind
    assert "unsafe-eval" not in policy and "script-src 'unsafe-inline'" not in policy, kind
    assert "server" not in headers, kind


@pytest.mark.case("T47", "T48", "T49")
def test_every_kind_of_answer_carries_the_security_headers(owner: Owner, admin: Member) -> None:
    session = owner.raw("GetNewSession", {}).json()["session_id"]
    picture = owner.raw(
        "GenerateText2Image",
        {"session_id": session, "images": 1, "model": "tiny", "prompt": "x", "steps": 1, "width": 64, "height": 64},
    ).json()["images"][0]
    gets = [
        *("/", "/Text2Image", "/Login", "/Register", "/css/base.css", "/js/main.js", "/favicon.ico", "/nowhere"),
        *("/imgs/model_placeholder.jpg", "/Error/404", "/Error/Internal", "/health/live", "/health/ready", "/metrics"),
        *(
            "/API",
            "/openapi.json",
            "/API/GetNewSession",
            f"/{picture}",
            f"/{picture}?preview=true",
            "/View/local/none.png",
        ),
        *("/View/x/../../y", "/ViewSpecial/Stable-Diffusion/tiny", "/ExtensionFile/x", "/View", "/" + "a" * 17_000),
    ]
    for target in gets:
        for client in (owner, admin):
            answer = client.http.get(target, follow_redirects=False)
            check_headers(dict(answer.headers), f"{target[:60]} {answer.status_code}")
            assert "service-worker-allowed" not in answer.headers
    posts = [owner.raw("GetNewSession", {}), owner.raw("Nothing", {"session_id": session}), owner.raw("ListImages", {})]
    posts += [owner.http.post("/API/GetNewSession", content=b"x"), owner.http.post("/View/x.png"), owner.http.put("/")]
    posts += [owner.raw("GetNewSession", {}, Host="evil.example"), owner.raw("GetNewSession", {}, Origin="null")]
    for answer in posts:
        check_headers(dict(answer.headers), f"{answer.url} {answer.status_code}")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/API/GenerateText2ImageWS", {"Origin": "null"}),
        ("/API/X", {"Host": "evil.example"}),
        ("/View/x.png", {}),
        ("/", {}),
    ],
)
def test_a_refused_upgrade_carries_them_too(owner: Owner, path: str, headers: dict[str, str]) -> None:
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(owner.base.replace("http", "ws", 1) + path, additional_headers=headers, proxy=None),
    ):
        pass
    response = caught.value.response
    assert response.status_code in (400, 403, 404, 421)
    check_headers({name.lower(): value for name, value in response.headers.raw_items()}, path)
