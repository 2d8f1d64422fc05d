"""Programs that were written against SwarmUI, one kind after another: what each of them sends, however odd.

One server for the whole module. The kinds are named by what they are, not by who wrote them.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from websockets.sync.client import connect

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.raw import dial, exchange, head, heard, status_of
from tests.support.remote import wait_for
from tests.support.server import options_for, server_in_thread

SMALL: dict[str, Any] = {"images": 1, "prompt": "a lighthouse", "model": "tiny", "width": 64, "height": 64, "steps": 2}
JSON = "Content-Type: application/json"
DOCKER = "host.docker.internal:7801"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = World(tmp_path_factory.mktemp("clients"))
    world.backends(StepMilliseconds=2)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    write_model(world.models / "Lora" / "ink.safetensors")
    with server_in_thread(options_for(world.folder)) as address:
        yield address


@pytest.fixture
def client(base: str) -> Iterator[SwarmClient]:
    with SwarmClient(base) as one:
        yield one


def used(client: SwarmClient, **params: Any) -> dict[str, Any]:
    """The parameters that one request's picture was made with, by its metadata."""
    found: dict[str, Any] = metadata_of(client, **params)["sui_image_params"]
    return found


def metadata_of(client: SwarmClient, **params: Any) -> dict[str, Any]:
    """Leaves as soon as the picture is there."""
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({**SMALL, **params, "session_id": client.session_id}))
        for text in socket:
            message = json.loads(text)
            assert "error" not in message, message
            if "image" in message:
                told: dict[str, Any] = json.loads(message["metadata"])
                return told
    raise AssertionError("There was no picture.")


# --- how they connect ------------------------------------------------------------------------------------------------

OFFER = (
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)


def answer_on(line: Any) -> tuple[int, bytes]:
    """Status and body of the next answer on a connection that stays open."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65536)
    top, _, body = data.partition(b"\r\n\r\n")
    sizes = [int(row.split(b":")[1]) for row in top.split(b"\r\n") if row.lower().startswith(b"content-length")]
    while len(body) < sizes[0]:
        body += line.recv(65536)
    return status_of(data), body


@pytest.mark.parametrize("pieces", [1, 7, 400])
def test_java_offers_http2_on_every_plain_connection(base: str, pieces: int) -> None:
    """Its HttpClient does so unless told otherwise, also with a body; the answer in HTTP/1.1 is what it wants."""
    request = head("POST", "/API/GetNewSession", *OFFER, JSON, "Content-Length: 2") + b"{}"
    size = -(-len(request) // pieces)
    with dial(base) as line:
        for _ in range(2):
            for at in range(0, len(request), size):
                line.sendall(request[at : at + size])
            status, body = answer_on(line)
            assert status == 200 and len(json.loads(body)["session_id"]) == 40
        line.sendall(head("GET", "/imgs/model_placeholder.jpg", *OFFER))
        status, body = answer_on(line)
        assert status == 200 and body.startswith(b"\xff\xd8")


def test_an_offer_does_not_carry_a_second_request_past_the_first(base: str) -> None:
    second = head("POST", "/API/GetNewSession", JSON, "Content-Length: 2", "Connection: close") + b"{}"
    first = head("POST", "/API/ListModels", *OFFER, JSON, f"Content-Length: {len(second)}") + second
    answer = exchange(base, first, timeout=1)
    assert status_of(answer) == 400 and answer.count(b"HTTP/1.1") == 1


def test_a_long_row_of_offers_is_answered_one_by_one(base: str) -> None:
    many = 1500
    with dial(base) as line:
        line.sendall(head("GET", "/API/GetNewSession", *OFFER) * many)
        got = b""
        while got.count(b"HTTP/1.1 302") < many:
            piece = line.recv(1 << 20)
            assert piece, f"only {got.count(b'HTTP/1.1 302')} answers came"
            got += piece


def test_tunnels_and_unknown_protocols_are_answered(base: str) -> None:
    assert status_of(exchange(base, head("CONNECT", "localhost:80", *OFFER), timeout=1)) >= 400
    odd = head("GET", "/API/GetNewSession", "Connection: upgrade", "Upgrade: TLS/1.0")
    assert status_of(exchange(base, odd, timeout=1)) == 302


def test_programs_in_containers_call_their_host_by_its_docker_name(base: str) -> None:
    with SwarmClient(base) as inside:
        inside.http.headers["Host"] = DOCKER
        made = inside.generate(**SMALL)["images"][0]
        assert inside.http.get(f"/{made}").headers["content-type"] == "image/png"
        # The origin is what a common WebSocket library adds of itself.
        wanted = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
        asks = head("GET", "/API/SelectModelWS", *wanted, f"Origin: http://{DOCKER}", host=DOCKER)
        assert status_of(exchange(base, asks, timeout=0.3)) == 101
        assert inside.raw("GetNewSession", {}, Origin="http://evil.example").status_code == 403
    evil = exchange(base, head("GET", "/Text2Image", "Connection: close", host="internal"), timeout=2)
    assert status_of(evil) == 421


def test_a_shell_that_writes_latin_1(client: SwarmClient) -> None:
    """Windows PowerShell 5 does, without saying so; SwarmUI reads what it can."""
    body = {**SMALL, "session_id": client.session_id, "prompt": "caf\xe9"}
    raw = json.dumps(body, ensure_ascii=False).encode("latin-1")
    answer = client.http.post("/API/GenerateText2Image", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 and len(answer.json()["images"]) == 1
    half = client.http.post("/API/GetNewSession", content=b'{"a":"\xe9', headers={"Content-Type": "application/json"})
    assert (half.status_code, half.json()["error_id"]) == (400, "internal_error")


def test_a_script_puts_a_prompt_of_several_lines_between_quotes(client: SwarmClient) -> None:
    prompt = 'a\tlighthouse,\r\nby \\"night\\"\n'
    asks = '"images":1,"model":"tiny","width":64,"height":64'
    raw = f'{{"session_id":"{client.session_id}","prompt":"{prompt}",{asks}}}'
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(raw)
        told = next(json.loads(one["metadata"]) for one in map(json.loads, socket) if "image" in one)
    assert told["sui_image_params"]["prompt"].split() == ["a", "lighthouse,", "by", '"night"']
    says = {"Content-Type": "application/json"}
    answer = client.http.post("/API/GenerateText2Image", content=raw.encode(), headers=says)
    assert len(answer.json()["images"]) == 1


def test_a_javascript_runtime_says_how_it_fetches(client: SwarmClient) -> None:
    says = {"Sec-Fetch-Mode": "cors", "Accept-Language": "*", "User-Agent": "node"}
    assert client.raw("GetNewSession", {}, **says).status_code == 200


def test_an_agent_looks_whether_somebody_is_there(client: SwarmClient) -> None:
    """By GET where only POST is known: it wants a 200 in the end."""
    answer = client.http.get("/API/ListModels", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/Error/NoGetAPI")


@pytest.mark.parametrize("session", ["null", "", "0" * 40, None, 5])
def test_an_app_keeps_a_session_that_is_none(client: SwarmClient, session: Any) -> None:
    answer = client.raw("ListImages", {"session_id": session, "path": "", "depth": "1", "sortReverse": "true"})
    assert (answer.status_code, answer.json()["error_id"]) == (401, "invalid_session_id")
    fresh = client.post("ListImages", path="", depth="1", sortBy="Name", sortReverse="true")
    assert set(fresh) == {"folders", "files"}


# --- what they ask for -----------------------------------------------------------------------------------------------


def test_a_tool_server_spells_names_as_it_likes(client: SwarmClient) -> None:
    found = used(client, negativePrompt="fog", cfgScale=3.5, initImageCreativity=0.25)
    assert (found["negativeprompt"], found["cfgscale"]) == ("fog", 3.5)
    found = used(client, negative_prompt="fog", cfg_scale=4.5)
    assert (found["negativeprompt"], found["cfgscale"]) == ("fog", 4.5)


def test_a_form_sends_numbers_as_text(client: SwarmClient) -> None:
    found = used(client, images="1", seed="-1", steps="3", width="128", height="64", cfgscale="6.0", donotsave="false")
    assert (found["steps"], found["width"], found["cfgscale"]) == (3, 128, 6.0)
    assert found["seed"] > 0
    assert used(client, images=1.0, steps=3.0, seed=7.0)["seed"] == 7


def test_a_chat_bot_leaves_fields_empty(client: SwarmClient) -> None:
    blank: dict[str, Any] = {
        "sampler": "",
        "scheduler": "normal",
        "negativeprompt": None,
        "initimage": "",
        "loras": [],
        "vae": "None",
    }
    found = used(client, **blank, loraweights=[], presets=[], parameters={}, aspectratio="custom", api_key="x")
    assert found["width"] == 64 and "initimage" not in found and "loras" not in found


def test_a_front_end_wraps_everything_in_raw_input(client: SwarmClient) -> None:
    """The documentation names that argument; on the wire it is the body itself, in SwarmUI as here."""
    answer = client.post("GenerateText2Image", images=1, rawInput={**SMALL})
    assert answer == {"error": "No model input given. Did your UI load properly?"}
    assert "images" in client.generate(**SMALL, rawInput={"prompt": "another", "steps": 900})


def test_extra_metadata_as_text_is_left_alone(client: SwarmClient) -> None:
    told = metadata_of(client, extra_metadata=json.dumps({"room": "kitchen"}))
    assert "room" not in told["sui_extra_data"]


@pytest.mark.parametrize(
    ("names", "weights"),
    [(["ink"], ["0.6"]), (["ink"], [0.6]), ("ink", "0.6"), ("ink.safetensors", 0.6)],
)
def test_loras_as_lists_and_as_text(client: SwarmClient, names: Any, weights: Any) -> None:
    found = used(client, loras=names, loraweights=weights)
    assert (found["loras"], found["loraweights"]) == (["ink"], ["0.6"])


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_pictures_with_and_without_their_type(client: SwarmClient, prefix: str) -> None:
    image = prefix + picture()
    assert used(client, initimage=image, initimagecreativity="0.6")["initimagecreativity"] == 0.6
    assert "images" in client.generate(**SMALL, promptimages="|".join([image, image]))


def test_another_server_written_in_another_language(client: SwarmClient) -> None:
    """SwarmUI's own remote backend: every value it knows, lists as text, pictures bare, the backend by its number."""
    backend = next(iter(client.post("ListBackends", nonreal=True, full_data=True).values()))
    told = {
        **{**SMALL, "prompt": "a cat <embedding:glow> <region:0,0,0.5,1,0.5//cid=11> a dog", "negativeprompt": ""},
        **{"seed": 12345, "cfgscale": 7.0, "aspectratio": "Custom", "automaticvae": True, "sampler": "euler"},
        **{"loras": "ink", "loraweights": "0.8", "lorasectionconfinement": "-1", "initimage": picture()},
        **{"initimagecreativity": 0.6, "donotsave": True, "exactbackendid": backend["id"], "nopreviews": False},
    }
    assert client.generate(**told)["images"][0].startswith("data:image/png;base64,")
    address = client.base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    odd = {"Authorization": "Bearer abc123", "MyHeader": "MyVal"}
    with connect(address, additional_headers=odd, proxy=None) as socket:
        socket.send(json.dumps({**told, "steps": 500, "session_id": client.session_id}))
        while "gen_progress" not in json.loads(socket.recv(timeout=20)):
            pass
        for _ in range(3):  # with every message that comes until the socket is closed
            assert client.post("InterruptAll", other_sessions=False) == {"success": True}
        assert not any("image" in json.loads(text) for text in socket)
    assert client.post("SelectModel", model="tiny.safetensors", backendId=backend["id"]) == {"success": True}
    assert client.post("FreeBackendMemory", system_ram=False, backend=str(backend["id"]))["result"] is True


def test_a_typed_library_names_no_backend(client: SwarmClient) -> None:
    assert client.post("SelectModel", model="tiny", backendId=None) == {"success": True}


# --- what they read --------------------------------------------------------------------------------------------------

PARAM_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "id", "description", "type"), (str,)),
    **dict.fromkeys(("visible", "advanced", "toggleable", "always_retain", "do_not_save"), (bool,)),
    **dict.fromkeys(("do_not_preview", "extra_hidden", "nonreusable", "can_sectionalize"), (bool,)),
    **dict.fromkeys(("min", "max", "view_min", "view_max", "step"), (int, float, type(None))),
    **dict.fromkeys(("subtype", "feature_flag", "group", "depend_non_default", "view_type"), (str, type(None))),
    **dict.fromkeys(("values", "value_names", "examples"), (list, type(None))),
    "priority": (int, float),
}
MODEL_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "hash", "hash_sha256", "special_format", "lora_default_weight"), (str,)),
    **dict.fromkeys(("title", "author", "description", "preview_image", "architecture", "class"), (str, type(None))),
    **dict.fromkeys(("compat_class", "resolution", "license", "date", "trigger_phrase"), (str, type(None))),
    **dict.fromkeys(("loaded", "is_supported_model_format", "is_negative_embedding", "local"), (bool,)),
    **dict.fromkeys(("standard_width", "standard_height", "time_created", "time_modified"), (int,)),
    "tags": (list, type(None)),
}


def test_a_typed_library_reads_every_field(client: SwarmClient) -> None:
    """It fails at the first number that is text, or null where there must be something."""
    told = client.post("ListT2IParams")
    models = [*client.post("ListModels", path="", depth=6)["files"]]
    models += client.post("ListModels", path="", depth=6, subtype="LoRA")["files"]
    models.append(client.post("DescribeModel", modelName="tiny", subtype="Stable-Diffusion")["model"])
    pairs = [(one, PARAM_TYPES) for one in told["list"]] + [(one, MODEL_TYPES) for one in models]
    wrong = [(one["name"], key) for one, types in pairs for key, kind in types.items() if type(one[key]) not in kind]
    assert wrong == []
    assert all(type(one["resolution_precision"]) is int for one in told["model_compat_classes"].values())
    assert all(len(pair) == 2 for pairs in told["models"].values() for pair in pairs)


def test_a_launcher_finds_the_sampler_and_a_model(client: SwarmClient) -> None:
    told = client.post("ListT2IParams")
    samplers = next(param["values"] for param in told["list"] if param["id"] == "sampler")
    assert "euler" in samplers
    first = told["models"]["Stable-Diffusion"][0][0]
    assert "images" in client.generate(**{**SMALL, "model": first, "sampler": samplers[0]})
    loaded = client.post("ListLoadedModels")["models"][0]
    assert (loaded["name"], loaded["standard_width"]) == ("tiny.safetensors", 512)


def test_an_editor_sends_back_what_it_was_shown(client: SwarmClient) -> None:
    """Also the address of a preview, which leaves the preview as it is."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "JPEG")
    red = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    assert client.post("EditWildcard", card="colours", options="red\nblue\n", preview_image=red) == {"success": True}
    [shown] = client.post("ListModels", path="", depth=2, subtype="Wildcards")["files"]
    assert shown["image"].startswith("/ViewSpecial/Wildcards/colours")
    copy = {"card": "colours - 2", "options": shown["raw"], "preview_image": shown["image"]}
    assert client.post("EditWildcard", **copy, preview_image_metadata=None) == {"success": True}
    again = {"card": "colours", "options": "red\n", "preview_image": shown["image"]}
    assert client.post("EditWildcard", **again) == {"success": True}
    files = client.post("ListModels", path="", depth=2, subtype="Wildcards")["files"]
    pictures = {one["name"]: one["image"].partition("?")[0] for one in files}
    assert pictures == {"colours": shown["image"].partition("?")[0], "colours - 2": "imgs/model_placeholder.jpg"}
    about = client.post("DescribeModel", modelName="tiny")["model"]
    told = {key: about[key] or "" for key in ("author", "description", "usage_hint", "date", "license")}
    told |= {key: about[key] or "" for key in ("trigger_phrase", "prediction_type")}
    told |= {"standard_width": 512, "standard_height": 512, "tags": "", "type": about["architecture"]}
    for preview in ("imgs/model_placeholder.jpg", "/ViewSpecial/Stable-Diffusion/tiny.safetensors?editid=1"):
        edit = {**told, "model": "tiny.safetensors", "title": "Tiny", "preview_image": preview}
        assert client.post("EditModelMetadata", **edit) == {"success": True}


@pytest.mark.parametrize("leaves", ["after the picture", "at the first progress"])
def test_a_script_leaves_without_waiting_for_the_end(client: SwarmClient, leaves: str) -> None:
    before = len(client.post("ListImages", path="", depth=3)["files"])
    wanted = "image" if leaves == "after the picture" else "gen_progress"
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({**SMALL, "steps": 20, "session_id": client.session_id}).encode())
        while wanted not in json.loads(socket.recv(timeout=20)):
            pass
    wait_for(lambda: len(client.post("ListImages", path="", depth=3)["files"]) > before)


def test_a_gallery_fetches_what_it_listed(client: SwarmClient) -> None:
    client.generate(**SMALL)
    user = client.raw("GetNewSession", {}).json()
    files = client.post("ListImages", path="", depth=5, sortBy="Date", sortReverse=False)["files"]
    source = files[0]["src"]
    roots = [f"/View/{user['user_id']}/{source}", f"/Output/{source}"]
    for path in (
        *roots,
        roots[0].replace(" ", "%20"),
        roots[0] + "?preview=true",
        roots[0] + "?preview=true&noanim=true",
    ):
        answer = client.http.get(path)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("image/")
    assert json.loads(files[0]["metadata"])["sui_image_params"]["prompt"] == "a lighthouse"


def test_an_old_client_speaks_http_1_0(base: str) -> None:
    request = head("POST", "/API/GetNewSession", JSON, "Content-Length: 2").replace(b"HTTP/1.1", b"HTTP/1.0") + b"{}"
    with dial(base) as line:
        line.sendall(request)
        assert status_of(heard(line)) == 200


def test_a_large_upload_waits_to_be_told_to_go_on(base: str) -> None:
    """curl and older .NET ask before they send more than a kilobyte."""
    asks = head("POST", "/API/GetNewSession", JSON, "Content-Length: 2", "Expect: 100-continue", "Connection: close")
    with dial(base) as line:
        line.sendall(asks)
        assert line.recv(65536).startswith(b"HTTP/1.1 100")
        line.sendall(b"{}")
        assert status_of(heard(line)) == 200
