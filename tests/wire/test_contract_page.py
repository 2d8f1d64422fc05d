"""SwarmUI's own page and a small bot, call by call: what each of them sends, and which keys of the answers they read.

One server for the whole module.
"""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from websockets.sync.client import connect

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

SUBTYPES = ("Stable-Diffusion", "VAE", "LoRA", "Embedding", "ControlNet", "Clip", "ClipVision", "Wildcards")
COUNTERS = ("waiting_gens", "loading_models", "waiting_backends", "live_gens")
NO_WORK = dict.fromkeys(COUNTERS, 0)
PRESET = {"title": "Inky", "description": "Black on white", "param_map": {"prompt": "{value}, ink", "cfgscale": "6.5"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = World(tmp_path_factory.mktemp("page"))
    world.backends(StepMilliseconds=5)
    for name in ("tiny", "folder/other"):
        write_model(world.models / "Stable-Diffusion" / f"{name}.safetensors")
    with server_in_thread(options_for(world.folder)) as address:
        yield address


class Page:
    """Sends what the page sends; keeps its session like the page, and asks for another when it is told to."""

    def __init__(self, base: str) -> None:
        self._client = SwarmClient(base)
        self.http = self._client.http
        self.base = base
        self.session: dict[str, Any] = self._client.raw("GetNewSession", {}).json()

    def close(self) -> None:
        self.http.close()

    def call(self, route: str, **body: Any) -> dict[str, Any]:
        answer = self._client.raw(route, {**body, "session_id": self.session["session_id"]})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert "error" not in found, found
        return found

    def stream(self, route: str, **body: Any) -> list[dict[str, Any]]:
        """All messages of one socket, until the server closes it."""
        address = self.base.replace("http", "ws", 1) + f"/API/{route}"
        with connect(address, proxy=None, origin=None) as socket:
            socket.send(json.dumps({**body, "session_id": self.session["session_id"]}))
            messages = [json.loads(text) for text in socket]
        assert (socket.close_code, socket.close_reason) == (1000, "")
        return messages


@pytest.fixture(scope="module")
def page(base: str) -> Iterator[Page]:
    made = Page(base)
    yield made
    made.close()


def test_the_page_itself_and_what_it_loads(page: Page) -> None:
    first = page.http.get("/", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (302, "Text2Image")
    assert page.http.get("/Text2Image").headers["content-type"].startswith("text/html")
    for path in ("/favicon.ico", "/imgs/model_placeholder.jpg"):
        assert page.http.get(f"{path}?vary={page.session['version']}").status_code == 200


def test_opening_the_page(page: Page) -> None:
    assert {"session_id", "user_id", "output_append_user", "version", "server_id", "permissions"} <= set(page.session)
    mine = page.call("GetMyUserData")
    assert mine["user_name"] == page.session["user_id"] == "local"
    assert mine["permissions"] == page.session["permissions"]
    assert (mine["presets"], mine["starred_models"], mine["model_preset_links"]) == ([], {}, {})
    assert (mine["language"], mine["autocompletions"]) == ("en", None)
    params = page.call("ListT2IParams")
    assert list(params) == [
        *("list", "groups", "models", "model_compat_classes", "model_classes", "wildcards", "param_edits")
    ]
    groups = {group["id"] for group in params["groups"]}
    for param in params["list"]:
        assert param["group"] is None or param["group"] in groups
        if param["type"] == "dropdown" and param["values"] and param["default"]:
            assert param["default"] in param["values"], param["id"]
    status = page.call("GetCurrentStatus")
    assert (status["status"], status["backend_status"]["status"]) == (NO_WORK, "running")
    assert "comfyui" in status["supported_features"]
    refreshed = page.call("TriggerRefresh", strong=False)
    assert list(refreshed) == list(params)
    assert page.call("GetLanguage", language=mine["language"])["language"]["code"] == "en"


def test_its_browsers_of_models_and_pictures(page: Page) -> None:
    for subtype in SUBTYPES:
        asked = {"path": "", "depth": 8, "subtype": subtype, "sortBy": "Name", "sortReverse": False}
        listed = page.call("ListModels", **asked, allowRemote=True, dataImages=False)
        assert list(listed) == ["folders", "files"]
    checkpoints = page.call("ListModels", path="", depth=8, subtype="Stable-Diffusion")
    assert (checkpoints["folders"], [file["name"] for file in checkpoints["files"]]) == (
        ["folder"],
        ["folder/other.safetensors", "tiny.safetensors"],
    )
    one = page.call("DescribeModel", subtype="Stable-Diffusion", modelName="tiny.safetensors")["model"]
    assert (one["name"], one["preview_image"][:5]) == ("tiny.safetensors", "imgs/")
    nothing = page.call("ListImages", path="", depth=3, sortBy="Name", sortReverse=False)
    assert nothing == {"folders": [], "files": []}


def test_its_settings_and_server_tabs(page: Page) -> None:
    themes = page.call("GetUserSettings")["themes"]
    for theme in themes.values():
        assert all(page.http.get(f"/{path}").status_code == 200 for path in theme["css_paths"])
    assert page.call("ListServerSettings")["settings"]["network"]["value"]["port"]["type"] == "integer"
    types = [kind["id"] for kind in page.call("ListBackendTypes")["list"]]
    assert "swarmswarmbackend" in types
    backends = page.call("ListBackends", nonreal=True, full_data=True)
    assert {backend["status"] for backend in backends.values()} == {"running"}
    assert all(int(key) == backend["id"] for key, backend in backends.items())
    assert {"cpu", "system_ram"} <= set(page.call("GetServerResourceInfo"))
    users = page.call("ListConnectedUsers")["users"]
    assert [user["id"] for user in users] == ["local"]
    kinds = [kind["name"] for kind in page.call("ListLogTypes")["types_available"]]
    logs = page.call("ListRecentLogMessages", types=kinds, last_sequence_ids={})
    assert list(logs["data"]) == kinds
    again = page.call("ListRecentLogMessages", types=kinds, last_sequence_ids=dict.fromkeys(kinds, 10**9))
    assert not any(again["data"].values())
    assert page.call("GetAPIKeyStatus", keyType="civitai_api") == {"status": "not set"}


def test_typing_and_choosing_a_model(page: Page) -> None:
    assert page.call("CountTokens", text="a cat <random:red,blue>", skipPromptSyntax=True)["count"] == 3
    first, done, last = page.stream("SelectModelWS", model="tiny.safetensors")
    assert (first["status"]["loading_models"], done, last["status"]) == (1, {"success": True}, NO_WORK)
    assert [one["name"] for one in page.call("ListLoadedModels")["models"]] == ["tiny.safetensors"]
    assert page.call("AddNewPreset", **PRESET) == {"success": True}
    assert [one["title"] for one in page.call("GetMyUserData")["presets"]] == ["Inky"]
    assert page.call("SetStarredModels", **{"Stable-Diffusion": ["tiny.safetensors"]}) == {"success": True}
    links = {"Stable-Diffusion": {"tiny.safetensors": ["Inky"]}}
    assert page.call("SetPresetLinks", **links) == {"success": True}
    mine = page.call("GetMyUserData")
    assert (mine["starred_models"], mine["model_preset_links"]) == ({"Stable-Diffusion": ["tiny.safetensors"]}, links)


GENERATE: dict[str, Any] = {
    **{"images": 2, "seed": -1, "steps": 4, "cfgscale": 7, "aspectratio": "Custom", "width": 64, "height": 64},
    **{"prompt": "a lighthouse", "negativeprompt": "", "model": "tiny", "automaticvae": True, "presets": ["Inky"]},
    **{"sampler": "euler", "scheduler": "normal", "initimagecreativity": 0.6, "variationseedstrength": 0},
    **{"colordepth": "8bit", "donotsave": False, "nopreviews": False},
    **{"zeronegative": False, "clipstopatlayer": -1, "batchsize": 1, "wildcardseed": -1},
    "extra_metadata": {"initimage_filename": "cat.png", "used_image_editor": True},
}


def test_generating_as_the_button_does(page: Page) -> None:
    messages = page.stream("GenerateText2ImageWS", **GENERATE)
    assert "status" in messages[0] and messages[0]["status"]["waiting_gens"] == 2
    assert messages[-1]["status"] == NO_WORK
    assert messages[-2] == {"socket_intention": "close"}
    assert {"discard_indices": []} in messages
    known = {"status", "gen_progress", "image", "keep_alive", "discard_indices", "socket_intention"}
    assert [message for message in messages if next(iter(message)) not in known] == []
    pictures = {message["batch_index"]: message for message in messages if "image" in message}
    assert sorted(pictures) == ["0", "1"]
    for steps in (message["gen_progress"] for message in messages if "gen_progress" in message):
        assert steps["batch_index"] in pictures
        assert 0 <= steps["overall_percent"] <= 1 and 0 <= steps["current_percent"] <= 1
    for picture in pictures.values():
        told = json.loads(picture["metadata"])
        assert told["sui_image_params"]["prompt"] == "a lighthouse, ink"
        assert told["sui_image_params"]["cfgscale"] == 6.5
        assert told["sui_extra_data"]["presets_used"] == ["Inky"]
        assert told["sui_extra_data"]["initimage_filename"] == "cat.png"
        assert list(told["sui_image_params"])[-1] == "swarm_version"
    seeds = [json.loads(pictures[index]["metadata"])["sui_image_params"]["seed"] for index in ("0", "1")]
    assert seeds[1] == seeds[0] + 1


def test_looking_at_what_was_made(page: Page) -> None:
    day = page.call("ListImages", path="", depth=3, sortBy="Date", sortReverse=False)
    assert len(day["files"]) == 2 and day["folders"][-1].startswith("raw")
    source = day["files"][0]["src"]
    small = page.http.get(f"/View/local/{source}?preview=true")
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpg")
    assert page.call("ToggleImageStarred", path=source) == {"new_state": True}
    starred = page.call("ListImages", path="Starred", depth=3, sortBy="Name", sortReverse=False)["files"]
    assert len(starred) == 1 and json.loads(starred[0]["metadata"])["is_starred"] is True
    assert page.call("DeleteImage", path=source) == {"success": True}
    assert page.call("GetCurrentStatus")["status"] == NO_WORK


def test_stopping_while_it_works(page: Page) -> None:
    address = page.base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    with connect(address, proxy=None) as socket:
        socket.send(json.dumps({**GENERATE, "images": 4, "steps": 400, "session_id": page.session["session_id"]}))
        while "gen_progress" not in json.loads(socket.recv(timeout=20)):
            pass
        assert page.call("GetCurrentStatus")["status"]["waiting_gens"] == 4
        assert page.call("InterruptAll", other_sessions=False) == {"success": True}
        rest = [json.loads(text) for text in socket]
    assert not any("image" in message for message in rest)
    assert rest[-1]["status"] == NO_WORK


class Bot:
    """Thirty lines of a chat bot: nothing but the standard library, one connection for every call."""

    def __init__(self, base: str, session: str = "") -> None:
        self.base = base
        self.session = session
        self.sessions = 0

    def call(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.base}/API/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with OPENER.open(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))

    def draw(self, prompt: str) -> Image.Image:
        for _ in range(3):
            body = {"images": 1, "prompt": prompt, "model": "tiny", "width": 64, "height": 64, "steps": 2}
            answer = self.call("GenerateText2Image", {**body, "session_id": self.session})
            if answer.get("error_id") != "invalid_session_id":
                break
            self.sessions += 1
            self.session = str(self.call("GetNewSession", {})["session_id"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        with OPENER.open(self.base + "/" + answer["images"][0].replace(" ", "%20"), timeout=30) as file:
            return Image.open(io.BytesIO(file.read()))


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_a_bot_gets_its_picture_and_a_new_session_when_it_needs_one(base: str) -> None:
    bot = Bot(base, "0" * 40)
    with bot.draw("a red fox, standing") as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))
        assert json.loads(picture.info["parameters"])["sui_image_params"]["prompt"] == "a red fox, standing"
    with bot.draw("another") as picture:
        assert picture.size == (64, 64)
    assert bot.sessions == 1


def test_a_bot_is_told_what_is_wrong(base: str) -> None:
    bot = Bot(base)
    bot.session = str(bot.call("GetNewSession", {})["session_id"])
    assert bot.call("GenerateText2Image", {"session_id": bot.session, "prompt": "x"}) == {
        "error": "Missing required parameter 'images'"
    }
    assert bot.call("GenerateText2Image", {"prompt": "x"}) == {"error_id": "basic_api", "error": "missing session id"}
    refused = bot.call(
        "GenerateText2Image", {"session_id": bot.session, "images": 1, "prompt": "x", "model": "nothing"}
    )
    assert refused["error"].startswith("Invalid value for parameter Model:")
