"""Programs written against SwarmUI that log in: with a password, with a token as a cookie, with a key in a header."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest

from tests.conftest import World
from tests.support.accounts import FAR, PASSWORD, Member, Owner, accounts_mode
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

SMALL = {"images": 1, "prompt": "a lighthouse", "model": "tiny", "width": 64, "height": 64, "steps": 1}
PROXY = {"Authorization": "Basic dXNlcjpwYXNz"}
"""What a proxy in front of the server asks for; it means nothing to the server."""


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    world = World(tmp_path_factory.mktemp("clients"))
    world.backends(StepMilliseconds=1)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    accounts_mode(world.data)
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as one:
        yield one


@pytest.fixture(scope="module")
def token(owner: Owner) -> str:
    with owner.invite("ann", "user") as ann:
        assert ann.token is not None
        return ann.token


def test_a_desktop_app_tries_without_a_login_and_then_with_one(owner: Owner, token: str) -> None:
    """It sends the password as it is and leaves the cookie to its library."""
    with httpx2.Client(base_url=owner.base, headers=FAR, trust_env=False) as http:
        refused = http.post("/API/GetNewSession", json={}).json()
        assert "session_id" not in refused and refused["error"]
        assert http.post("/API/Login", json={"username": "ann", "password": PASSWORD}).json()["success"]
        session = http.post("/API/GetNewSession", json={}).json()["session_id"]
        made = http.post("/API/GenerateText2Image", json={**SMALL, "session_id": session}).json()["images"][0]
        assert made.startswith("View/ann/")
        assert http.get(f"/{made}").headers["content-type"] == "image/png"


@pytest.mark.parametrize("way", ["Cookie", "Authorization"])
def test_a_server_application_holds_a_token(owner: Owner, token: str, way: str) -> None:
    """As a cookie among others, or as the key that its settings ask for; on the socket as well."""
    told = f"theme=dark; swarm_token={token}; other=1" if way == "Cookie" else f"Bearer {token}"
    with Member(owner.base) as app:
        app.http.headers[way] = told
        assert len(app.session_id) == 40
        with app.socket("GenerateText2ImageWS", **{**FAR, way: told}) as socket:
            socket.send(json.dumps({**SMALL, "session_id": app.session_id}))
            made = next(message["image"] for message in map(json.loads, socket) if "image" in message)
        assert app.http.get(f"/{made}").status_code == 200


def test_a_proxy_before_the_server_wants_a_password_of_its_own(owner: Owner, token: str) -> None:
    with Member(owner.base, token) as app:
        app.http.headers.update(PROXY)
        made = app.generate(**SMALL)["images"][0]
        assert app.http.get(f"/{made}").status_code == 200


def test_a_session_alone_makes_pictures_but_does_not_fetch_them(owner: Owner, token: str) -> None:
    """What is made with `donotsave` comes in the answer itself; that is how such programs do it."""
    with Member(owner.base, token) as app, Member(owner.base) as bare:
        body = {**SMALL, "session_id": app.session_id}
        made = bare.raw("GenerateText2Image", body).json()["images"][0]
        assert bare.http.get(f"/{made}").status_code == 400
        whole = bare.raw("GenerateText2Image", {**body, "donotsave": "true"}).json()["images"][0]
        assert whole.startswith("data:image/png;base64,")
