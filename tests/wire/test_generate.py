"""GenerateText2Image over HTTP and WebSocket, as swarm-t2i section 4 describes it for clients."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Serve, World
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 3, "seed": 5, "width": 64, "height": 64}
IDLE = {"waiting_gens": 0, "loading_models": 0, "waiting_backends": 0, "live_gens": 0}


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [next(iter(message)) for message in messages]


def seeds(messages: list[dict[str, Any]]) -> list[int]:
    return [json.loads(m["metadata"])["sui_image_params"]["seed"] for m in messages if "image" in m]


def test_http_answers_with_urls_that_can_be_fetched(client: SwarmClient) -> None:
    answer = client.generate(**SMALL, images=2)
    assert list(answer) == ["images"]
    assert len(answer["images"]) == 2
    for url in answer["images"]:
        assert url.startswith("View/local/raw/")
        data = client.http.get(f"/{url}").content
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (64, 64)
            assert json.loads(picture.info["parameters"])["sui_image_params"]["prompt"] == "a cat"


def test_socket_messages_come_in_the_documented_order(client: SwarmClient) -> None:
    messages = client.generate_ws(**SMALL)
    order = kinds(messages)
    assert messages[0]["status"] == {**IDLE, "waiting_gens": 1}
    assert order[-1] == "status"
    assert messages[-1]["status"] == IDLE
    assert order[-3:-1] == ["discard_indices", "socket_intention"]
    assert messages[-2] == {"socket_intention": "close"}
    image = order.index("image")
    assert order.index("gen_progress") < image < order.index("keep_alive") < order.index("discard_indices")
    statuses = [message["status"] for message in messages if "status" in message]
    assert {**IDLE, "waiting_gens": 1, "waiting_backends": 1} in statuses
    assert {**IDLE, "waiting_gens": 1, "live_gens": 1} in statuses
    assert statuses.index({**IDLE, "waiting_gens": 1, "waiting_backends": 1}) < statuses.index(
        {**IDLE, "waiting_gens": 1, "live_gens": 1}
    )


def test_progress_and_image_messages_have_the_wire_shape(client: SwarmClient) -> None:
    messages = client.generate_ws(**SMALL)
    progress = [message["gen_progress"] for message in messages if "gen_progress" in message]
    first = progress[0]
    assert list(first) == ["batch_index", "request_id", "overall_percent", "current_percent", "metadata"]
    assert (first["batch_index"], first["request_id"]) == ("0", "1001")
    said = json.loads(first["metadata"])["sui_image_params"]
    assert said["is_preview"] is True
    assert said["preview_notice"] == "Image is not done generating"
    assert all("metadata" not in later for later in progress[1:])
    assert any(later.get("preview", "").startswith("data:image/") for later in progress)
    assert [p["overall_percent"] for p in progress] == sorted(p["overall_percent"] for p in progress)
    image = next(message for message in messages if "image" in message)
    assert list(image) == ["image", "batch_index", "request_id", "metadata"]
    assert (image["batch_index"], image["request_id"]) == ("0", "1001")
    extra = json.loads(image["metadata"])["sui_extra_data"]
    assert extra["date"] == time.strftime("%Y-%m-%d")
    assert extra["generation_time"].endswith(" sec")
    assert extra["prep_time"].endswith(" sec")


def test_each_picture_of_a_request_gets_the_next_seed_and_index(client: SwarmClient) -> None:
    messages = client.generate_ws(**SMALL, images=3)
    images = [message for message in messages if "image" in message]
    assert sorted(message["batch_index"] for message in images) == ["0", "1", "2"]
    assert sorted(seeds(messages)) == [5, 6, 7]
    again = client.generate_ws(**SMALL, images=2, noseedincrement=True)
    assert seeds(again) == [5, 5]


def test_a_batch_numbers_and_seeds_its_pictures(client: SwarmClient) -> None:
    messages = client.generate_ws(**SMALL, images=2, batchsize=2)
    images = [message for message in messages if "image" in message]
    assert sorted(message["batch_index"] for message in images) == ["0", "1", "2", "3"]
    assert sorted(seeds(messages)) == [5, 6, 7, 8]
    assert [message["discard_indices"] for message in messages if "discard_indices" in message] == [[]]


def test_a_second_request_on_the_socket_is_numbered_after_the_first(client: SwarmClient) -> None:
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, "images": 2, **SMALL}))
        messages = [json.loads(socket.recv())]
        socket.send(json.dumps({"images": 1, **SMALL, "seed": 50}))
        messages += [json.loads(text) for text in socket]
    found = {message["batch_index"]: message["request_id"] for message in messages if "image" in message}
    assert found == {"0": "1001", "1": "1001", "2": "1002"}
    assert kinds(messages).count("discard_indices") == 2
    assert kinds(messages).count("socket_intention") == 1


def test_a_request_within_two_seconds_keeps_the_socket_open(client: SwarmClient) -> None:
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, "images": 1, **SMALL}))
        while "socket_intention" not in json.loads(socket.recv()):
            pass
        socket.send(json.dumps({"images": 1, **SMALL}))
        messages = [json.loads(text) for text in socket]
    assert [message["batch_index"] for message in messages if "image" in message] == ["1"]
    assert socket.close_code == 1000


@pytest.mark.case("F16")
def test_leaving_the_socket_does_not_stop_the_work(world: World, serve: Serve) -> None:
    world.backends(StepMilliseconds=30)
    client = serve()
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, "images": 2, **SMALL}))
        socket.recv()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(list(world.outputs.rglob("*.png"))) < 2:
        time.sleep(0.05)
    assert len(client.post("ListImages", path="", depth=5)["files"]) == 2


def test_interrupt_stops_this_session_and_nobody_else(world: World, serve: Serve) -> None:
    world.backends(StepMilliseconds=40, MaxUsages=8)
    client = serve()
    other = SwarmClient(client.base)
    heard: dict[str, list[dict[str, Any]]] = {}

    def ask(name: str, who: SwarmClient) -> None:
        heard[name] = who.generate_ws(**{**SMALL, "steps": 20})

    assert client.session_id != other.session_id
    threads = [threading.Thread(target=ask, args=pair) for pair in (("mine", client), ("other", other))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and client.post("GetCurrentStatus")["status"]["live_gens"] == 0:
        time.sleep(0.02)
    begun = time.monotonic()
    assert client.post("InterruptAll") == {"success": True}
    for thread in threads:
        thread.join(20)
    assert {"error": "Generation session interrupted."} in heard["mine"]
    assert "image" not in kinds(heard["mine"])
    assert kinds(heard["mine"])[-3:] == ["discard_indices", "socket_intention", "status"]
    assert "image" in kinds(heard["other"])
    assert time.monotonic() - begun < 10
    assert "image" in kinds(client.generate_ws(**SMALL))
    other.http.close()


def test_do_not_save_sends_the_picture_itself(client: SwarmClient, world: World) -> None:
    (url,) = client.generate(**SMALL, donotsave=True)["images"]
    assert url.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        assert picture.size == (64, 64)
        assert "parameters" not in picture.info
    assert not list(world.outputs.rglob("*.png"))


@pytest.mark.parametrize(("wanted", "suffix"), [("PNG", ".png"), ("JPG", ".jpg"), ("WEBP", ".webp")])
def test_the_image_format_is_kept_to(client: SwarmClient, wanted: str, suffix: str) -> None:
    (url,) = client.generate(**SMALL, imageformat=wanted)["images"]
    assert url.endswith(suffix)
    listed = client.post("ListImages", path="", depth=5)["files"]
    assert json.loads(listed[0]["metadata"])["sui_image_params"]["seed"] == 5


def test_forwarded_swarm_data_comes_right_before_the_image(client: SwarmClient) -> None:
    messages = client.generate_ws(**SMALL, forwardswarmdata=True)
    order = kinds(messages)
    assert order[order.index("image") - 1] == "raw_swarm_data"
    assert "seed" in messages[order.index("raw_swarm_data")]["raw_swarm_data"]["params_used"]


def test_prompt_tags_are_drawn_for_each_picture(client: SwarmClient) -> None:
    messages = client.generate_ws(**{**SMALL, "prompt": "a <random:red,green,blue,black,white> cat"}, images=6)
    said = [json.loads(m["metadata"]) for m in messages if "image" in m]
    prompts = {text["sui_image_params"]["prompt"] for text in said}
    assert len(prompts) > 1
    assert all("<" not in prompt for prompt in prompts)
    assert {text["sui_extra_data"]["original_prompt"] for text in said} == {"a <random:red,green,blue,black,white> cat"}


def test_a_failing_picture_ends_the_request_with_its_sentence(client: SwarmClient) -> None:
    messages = client.generate_ws(**{**SMALL, "prompt": "fake-fail"}, images=2)
    errors = [message["error"] for message in messages if "error" in message]
    assert errors[0] == "The fake backend was asked to fail."
    assert kinds(messages)[-3:] == ["discard_indices", "socket_intention", "status"]
    assert client.generate(**{**SMALL, "prompt": "fake-fail"}) == {"error": "The fake backend was asked to fail."}
    assert len(client.generate(**SMALL)["images"]) == 1


def test_after_a_failure_nothing_that_still_waits_is_begun(world: World, serve: Serve) -> None:
    world.backends(MaxUsages=1)
    client = serve()
    messages = client.generate_ws(**{**SMALL, "prompt": "fake-fail"}, images=8)
    assert [each for each in messages if "error" in each] == [{"error": "The fake backend was asked to fail."}]
    assert kinds(messages)[-3:] == ["discard_indices", "socket_intention", "status"]


def test_continue_after_errors_keeps_quiet(client: SwarmClient) -> None:
    messages = client.generate_ws(**{**SMALL, "prompt": "fake-fail"}, continueaftererrors=True)
    assert "error" not in kinds(messages)


def test_a_redirected_picture_is_made_after_all(client: SwarmClient) -> None:
    assert len(client.generate(**{**SMALL, "prompt": "fake-redirect"})["images"]) == 1


@pytest.mark.case("F3")
def test_a_job_that_takes_its_backend_down_is_given_up(world: World, serve: Serve) -> None:
    client = serve()
    answer = client.generate(**{**SMALL, "prompt": "fake-crash"})
    assert "poisonous" in answer["error"]
    assert len(client.generate(**SMALL)["images"]) == 1


def test_without_a_model_the_known_sentence_comes(client: SwarmClient) -> None:
    assert client.generate(prompt="a") == {"error": "No model input given. Did your UI load properly?"}
    assert client.generate(prompt="a", model="") == {"error": "No model input given. Did your UI load properly?"}


def test_a_picture_can_be_added_to_the_history(client: SwarmClient) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "teal").save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    answer = client.post("AddImageToHistory", image=url, prompt="mine", overrideoutpathformat="inputs/[prompt]")
    (added,) = answer["images"]
    assert list(added) == ["image", "batch_index", "request_id", "metadata"]
    assert added["image"] == "View/local/inputs/mine.png"
    assert json.loads(added["metadata"])["sui_image_params"]["prompt"] == "mine"
    again = client.generate(**SMALL, initimage="inputs/mine.png")
    assert len(again["images"]) == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"images": "many"}, "Invalid value 'many' for parameter 'images', must be type 'Int32'"),
        ({"images": 0}, "Invalid integer value for param Images - '0' - must be between 1 and 10000"),
        ({"images": 10001}, "Invalid integer value for param Images - '10001' - must be between 1 and 10000"),
        ({"steps": -1}, "Invalid integer value for param Steps - '-1' - must be between 0 and 500"),
        ({"steps": 1_000_000_000}, "must be between 0 and 500"),
        ({"steps": "0.5"}, "Invalid integer value for param Steps - '0.5'"),
        ({"steps": None}, "Invalid integer value for param Steps - ''"),
        ({"steps": [1, 2]}, "Invalid integer value for param Steps"),
        ({"cfgscale": "NaN"}, "Invalid decimal value for param CFG Scale - 'NaN'"),
        ({"cfgscale": 1000}, "must be between 0 and 100"),
        ({"width": 1}, "Invalid integer value for param Width - '1' - must be between 64 and 16384"),
        ({"width": 100000}, "must be between 64 and 16384"),
        ({"height": 7}, "must be between 64 and 16384"),
        ({"seed": 2**64}, "Invalid integer value for param Seed"),
        ({"model": "no such model"}, "Invalid model value for param Model - 'no such model'"),
        ({"sampler": "dpm++"}, "Invalid value for param Sampler - 'dpm++' - must be one of: `euler`"),
        ({"initimage": "/etc/passwd"}, "Invalid value for parameter Init Image:"),
        ({"initimage": "../../x.png"}, "Invalid value for parameter Init Image:"),
        ({"initimage": "file:///etc/passwd"}, "Invalid value for parameter Init Image:"),
        ({"initimage": "inputs/../../../etc/passwd"}, "Invalid value for parameter Init Image:"),
        ({"initimage": "inputs/none.png"}, "file does not exist"),
        ({"initimage": "data:text/html;base64," + base64.b64encode(b"<script>" * 9).decode()}, "Init Image"),
    ],
)
def test_bad_values_get_a_sentence_and_cost_nobody_anything(
    client: SwarmClient, given: dict[str, Any], sentence: str
) -> None:
    answer = client.generate(**{**SMALL, **given})
    assert list(answer) == ["error"], answer
    assert sentence in answer["error"]
    assert str(Path.cwd()) not in answer["error"] and "Traceback" not in answer["error"]
    if given.get("images") != "many":
        messages = client.generate_ws(**{**SMALL, **given})
        assert kinds(messages)[0] == "status"
        assert answer in messages
        assert "discard_indices" not in kinds(messages)
    assert len(client.generate(**SMALL)["images"]) == 1


def test_missing_images_is_named(client: SwarmClient) -> None:
    assert client.post("GenerateText2Image", prompt="x") == {"error": "Missing required parameter 'images'"}


def test_a_decompression_bomb_is_refused(client: SwarmClient) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20000, 20000)).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    answer = client.generate(**SMALL, initimage=url)
    assert "too large" in answer.get("error", ""), answer
    assert len(client.generate(**SMALL)["images"]) == 1


def test_a_prompt_bomb_is_refused(client: SwarmClient) -> None:
    answer = client.generate(**{**SMALL, "prompt": "<repeat:1000,<repeat:1000,<repeat:1000,boom>>>"})
    assert list(answer) == ["error"]
    assert len(client.generate(**SMALL)["images"]) == 1
