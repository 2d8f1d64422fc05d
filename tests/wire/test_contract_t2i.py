"""The text-to-image wire as a strict client of SwarmUI reads it: sections 2 to 4, 6, 7 and 8 of the contract."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
INK = {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (2, 2)}
NO_MATCH = "No backends match the settings of the request given! Backends refused for the following reason(s):\n- "
Messages = list[dict[str, Any]]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    """One server for the module, with models to be found by parts of their names."""
    world = World(tmp_path_factory.mktemp("contract"))
    world.backends(StepMilliseconds=2, Features="comfyui,refiners,variation_seed")
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    write_model(world.models / "Stable-Diffusion" / "Official" / "sd_xl_base_1.0.safetensors")
    write_model(world.models / "Stable-Diffusion" / "short.sft")
    for name in ("style/ink", "style/paint one", *(f"more/number {n}" for n in range(10))):
        write_model(world.models / "Lora" / f"{name}.safetensors", INK)
    (world.data / "Wildcards" / "Colors").mkdir(parents=True)
    (world.data / "Wildcards" / "animals.txt").write_text("cat # not a dog\n\n#\n", encoding="utf-8")
    (world.data / "Wildcards" / "Colors" / "warm.txt").write_bytes(b"\xef\xbb\xbfdeep\\nred\r\n")
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


def whole(**params: Any) -> dict[str, Any]:
    return {"images": 1, **SMALL, "donotsave": True, **params}


def heard(client: SwarmClient, *requests: dict[str, Any]) -> Messages:
    """Every message up to `socket_intention` that the requests, sent one right after the other, are answered with."""
    messages: Messages = []
    with client.socket("GenerateText2ImageWS") as socket:
        for number, request in enumerate(requests):
            socket.send(json.dumps({**({"session_id": client.session_id} if number == 0 else {}), **request}))
        for text in socket:
            messages.append(json.loads(text))
            if "socket_intention" in messages[-1]:
                break
    return messages


def images(messages: Messages) -> dict[str, dict[str, Any]]:
    return {message["batch_index"]: message for message in messages if "image" in message}


def metadata(client: SwarmClient, **params: Any) -> dict[str, Any]:
    """What the metadata of the request's first picture says."""
    messages = heard(client, whole(**params))
    assert "0" in images(messages), messages
    said: dict[str, Any] = json.loads(images(messages)["0"]["metadata"])
    return said


def recorded(client: SwarmClient, **params: Any) -> dict[str, Any]:
    said: dict[str, Any] = metadata(client, **params)["sui_image_params"]
    return said


def refusal(client: SwarmClient, **params: Any) -> str:
    answer = client.post("GenerateText2Image", **whole(**params))
    assert list(answer) == ["error"], answer
    said: str = answer["error"]
    return said


def saved(client: SwarmClient, template: str, **params: Any) -> list[str]:
    answer = client.post("GenerateText2Image", **whole(donotsave=False, overrideoutpathformat=template, **params))
    assert "images" in answer, answer
    return [url.removeprefix("View/local/") for url in answer["images"]]


def png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 8, 7)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


# --- parameters (2, 3) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"CFG Scale": 6, "Negative Prompt": "dim"}, {"cfgscale": 6.0, "negativeprompt": "dim"}),
        ({"cfg_scale": "0,0,7.5e0", "steps": " +4 "}, {"cfgscale": 7.5, "steps": 4}),
        ({"width": 128.0, "steps": ["3"], "prompt": None}, {"width": 128, "steps": 3, "prompt": ""}),
        ({"prompt": ["a", "b"]}, {"prompt": "a\n|||\nb"}),
        ({"saveIntermediateImages": "TRUE"}, {"outputintermediateimages": True}),
        ({"cfgscale": 3, "CFG Scale": 4, "style_preset": "x", "123": 1}, {"cfgscale": 4.0}),
        ({"sampler": "[DPMPP_2M]", "imageformat": "jpg"}, {"sampler": "dpmpp_2m", "imageformat": "JPG"}),
        ({"model": "official\\SD_XL_Base_1.0.SAFETENSORS"}, {"model": "Official/sd_xl_base_1.0"}),
        (
            {"loras": "ink.safetensors, ,STYLE/paintone", "loraweights": [0.5, 2, 3], "loratencweights": "0.1"},
            {
                "loras": ["style/ink", "style/paint one"],
                "loraweights": ["0.5", "2"],
                "loratencweights": ["0.1", "2"],
            },
        ),
        ({"aspectratio": "16:9", "sidelength": 1024}, {"width": 1344, "height": 768}),
        ({"rawresolution": "100x200", "altresolutionheightmultiplier": 3}, {"width": 100, "height": 200}),
        ({"altresolutionheightmultiplier": 1.51}, {"width": 64, "height": 96}),
    ],
)
def test_what_is_sent_is_stored(client: SwarmClient, sent: dict[str, Any], stored: dict[str, Any]) -> None:
    found = recorded(client, **sent)
    assert {key: found[key] for key in stored} == stored
    assert list(found)[-1] == "swarm_version"


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (
            {"images": 0},
            "Invalid value for parameter Images: Invalid integer value for param Images - '0' - "
            "must be between 1 and 10000",
        ),
        (
            {"noseedincrement": 1},
            "Invalid value for parameter No Seed Increment: Invalid boolean value for param "
            "No Seed Increment - '1' - must be exactly 'true' or 'false'",
        ),
        (
            {"imageformat": "tga"},
            "Invalid value for parameter Image Format: Invalid value for param Image Format - "
            "'tga' - must be one of: `PNG`, `JPG`, `WEBP_LOSSLESS`, `WEBP`",
        ),
        (
            {"loras": "ink,nobody"},
            "Invalid value for parameter LoRAs: Invalid value for param LoRAs - 'ink,nobody' - "
            "option does not exist. Has it been deleted?",
        ),
        ({"rawresolution": "10x20"}, "Invalid resolution: 10x20 (must be between 64x64 and 16384x16384)"),
        (
            {"initimage": "raw/nobody.png"},
            "Invalid value for parameter Init Image: Invalid file path for param "
            "Init Image - 'raw/nobody.png' - file does not exist",
        ),
        (
            {"promptimages": "inputs/nul/x|"},
            "Invalid value for parameter Prompt Images: Invalid file path for param "
            "Prompt Images - 'inputs/nul/x' - Unacceptable path. If you are the server owner, "
            "check program console log.",
        ),
        (
            {"promptimages": "not base64"},
            "Invalid value for parameter Prompt Images: Invalid image-list value for "
            "param Prompt Images - 'not base64' - must be a valid base64 string - got 'not base64...'",
        ),
        (
            {"internalbackendtype": "COMFYUI_api"},
            NO_MATCH + "Specific backend type requested in advanced parameters did not match",
        ),
        (
            {"useipadapter": "plus (high strength)"},
            NO_MATCH + "Request requires flag 'ipadapter' which is not present on the backend",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_wires_words(client: SwarmClient, sent: dict[str, Any], sentence: str) -> None:
    assert refusal(client, **sent) == sentence


def test_a_picture_of_the_history_keeps_its_path(client: SwarmClient) -> None:
    body = {"Override Outpath Format": "inputs/my/cat", "imageformat": "PNG", "steps": 7, "prompt": "<random:a,b>"}
    (added,) = client.post("AddImageToHistory", image=f"data:image/png;base64,{png()}", **body)["images"]
    assert (added["image"], added["batch_index"]) == ("View/local/inputs/my/cat.png", "0")
    said = json.loads(added["metadata"])["sui_image_params"]
    assert (said["steps"], said["prompt"]) == (7, "<random:a,b>")
    found = recorded(client, initimage="data:image/png;base64,inputs/my/cat.png", promptimages=["inputs/my/cat.png"])
    assert (found["initimage"], found["promptimages"]) == ("inputs/my/cat.png", ["inputs/my/cat.png"])
    assert "initimage" not in recorded(client, initimage=png())


def test_extra_metadata_keeps_lists_and_writes_the_rest_as_text(client: SwarmClient) -> None:
    extra = metadata(client, extra_metadata={"a": [1, "x"], "b": 2.0, "c": True, "d": {"z": 1}})["sui_extra_data"]
    assert {key: extra[key] for key in "abcd"} == {"a": [1, "x"], "b": "2", "c": "True", "d": '{"z":1}'}


def test_presets_override_in_order_and_wrap_the_prompt(client: SwarmClient) -> None:
    one = {"steps": "7", "prompt": "before {value} after", "CFG Scale": "3", "nobody": "1"}
    for title, values in (("One", one), ("Two", {"steps": "9", "prompt": "only"}), ("Bad", {"steps": "x"})):
        assert client.post("AddNewPreset", title=title, description="", param_map=values) == {"success": True}
    said = metadata(client, presets=["TWO", "nobody", "one"])
    assert said["sui_extra_data"]["presets_used"] == ["TWO", "nobody", "one"]
    found = said["sui_image_params"]
    assert (found["prompt"], found["steps"], found["cfgscale"]) == ("before only after", 7, 3.0)
    assert recorded(client, presets=["one", "two"])["prompt"] == "only"
    parted = recorded(client, presets=["one"], prompt="a cat <region:0,0,1,0.5> blue")["prompt"]
    assert parted == "before a cat after <region:0,0,1,0.5//cid=11> blue"
    assert recorded(client, presets="one")["steps"] == 2
    assert refusal(client, presets=["bad"]).startswith("Invalid value for parameter Steps: ")


def test_wildcards_are_read_cleaned_and_found_by_parts(client: SwarmClient) -> None:
    said = metadata(client, prompt="<wildcard:ANIM> <wc:warm>")
    assert said["sui_image_params"]["prompt"] == "cat deep\nred"
    assert said["sui_extra_data"]["used_wildcards"] == ["animals", "Colors/warm"]
    listed = client.post("DescribeModel", modelName="Colors/warm", subtype="Wildcards")
    assert listed == {"name": "Colors/warm", "raw": "deep\\nred\n", "image": "imgs/model_placeholder.jpg"}


# --- generation (4) -----------------------------------------------------------------------------------------------


def test_seeds_of_batches_and_variations(client: SwarmClient) -> None:
    def seeds(**params: Any) -> list[tuple[int, int | None]]:
        made = images(heard(client, whole(images=2, batchsize=2, **params)))
        said = [json.loads(made[str(index)]["metadata"])["sui_image_params"] for index in range(4)]
        return [(each["seed"], each.get("variationseed")) for each in said]

    assert seeds() == [(5, None), (6, None), (7, None), (8, None)]
    assert seeds(noseedincrement=True) == [(5, None), (6, None), (5, None), (6, None)]
    varied = {"variationseed": 100, "variationseedstrength": 0.5}
    assert seeds(**varied) == [(5, 100), (5, 101), (5, 102), (5, 103)]
    assert seeds(variationseedstrength=0.5) == [(5, 0), (5, 1), (7, 0), (7, 1)]


def test_pictures_nobody_asked_for_are_numbered_apart(client: SwarmClient) -> None:
    odd = whole(prompt="fake-draft fake-extra", batchsize=2, donotsave=False)
    made = images(heard(client, {**odd, "images": 2, "donotsaveintermediates": True}))
    assert sorted(made, key=int) == ["-12", "-11", "0", "1", "2", "3", "5", "6"]
    assert all(made[index]["image"].startswith("data:image/png;base64,") for index in ("-12", "-11"))
    assert all(made[index]["image"].startswith("View/local/raw/") for index in "012356")
    extra = {index: json.loads(each["metadata"])["sui_extra_data"] for index, each in made.items()}
    assert extra["-11"]["intermediate"] == "intermediate output"
    assert "intermediate" not in extra["0"]


def test_the_answer_lists_pictures_in_the_order_of_their_seeds(client: SwarmClient) -> None:
    names = saved(client, "order/[seed]", images=8, seed=1)
    assert names == [f"order/{seed}.png" for seed in range(1, 9)]
    mixed = saved(client, "drafts/[intermediate][seed]", images=2, prompt="fake-draft")
    assert [name for name in mixed if "output" not in name] == ["drafts/5.png", "drafts/6.png"]
    assert len(mixed) == 4


def test_requests_of_one_socket_are_numbered_by_what_the_earlier_ones_said(client: SwarmClient) -> None:
    first, second = whole(images=2, batchsize="2"), {key: value for key, value in whole().items() if key != "images"}
    refused, last = whole(steps="x"), whole(**{"Batch Size": 2})
    messages = heard(client, first, {**second, "session_id": "nobody's"}, refused, last)
    assert sorted(images(messages), key=int) == ["0", "1", "2", "3", "4", "5", "6"]
    assert sum("discard_indices" in message for message in messages) == 3
    assert sum("error" in message for message in messages) == 1
    ids = {index: message["request_id"] for index, message in images(messages).items()}
    assert ids["0"] == ids["3"] != ids["4"] != ids["5"] == ids["6"]


def test_a_refused_request_ends_with_its_error(client: SwarmClient) -> None:
    messages = heard(client, whole(images=3, steps="x"))
    assert [next(iter(message)) for message in messages] == ["status", "error", "socket_intention"]
    assert messages[0]["status"]["waiting_gens"] == 3


@pytest.mark.parametrize("first", ["nope", "[]", ""])
def test_a_first_message_that_is_no_object_is_an_internal_error(client: SwarmClient, first: str) -> None:
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(first)
        assert [json.loads(text) for text in socket] == [
            {"error_id": "internal_error", "error": "An internal error occurred"}
        ]
    assert socket.close_code == 1000


def test_an_interrupt_speaks_for_the_pictures_inside_a_backend_only(client: SwarmClient) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 10
        while client.post("GetCurrentStatus")["status"]["live_gens"] < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.post("InterruptAll") == {"success": True}

    thread = threading.Thread(target=interrupt)
    thread.start()
    messages = heard(client, whole(images=9, steps=500, nopreviews=True))
    thread.join()
    errors = [message for message in messages if "error" in message]
    assert errors == [{"error": "Generation session interrupted."}] * 4
    assert [next(iter(message)) for message in messages][-2:] == ["discard_indices", "socket_intention"]
    assert len(client.post("GenerateText2Image", **whole())["images"]) == 1


def test_the_mini_grid_shows_the_pictures_in_order(client: SwarmClient) -> None:
    client.post("ChangeUserSettings", settings={"MaxImagesInMiniGrid": 4})
    try:
        made = images(heard(client, whole(images=4)))
        assert "-1" not in images(heard(client, whole(images=5)))
    finally:
        client.post("ChangeUserSettings", settings={"MaxImagesInMiniGrid": 1})
    tiles = {index: pixels(message["image"]) for index, message in made.items()}
    grid = tiles.pop("-1")
    assert grid.size == (128, 128)
    for index, tile in tiles.items():
        left, top = int(index) % 2 * 64, int(index) // 2 * 64
        assert grid.crop((left, top, left + 64, top + 64)).tobytes() == tile.tobytes()
    said = json.loads(made["-1"]["metadata"])["sui_extra_data"]["generation_time"]
    assert said.endswith(" seconds per image)")
    assert " total seconds (average " in said


def pixels(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


# --- files and history (6, 7) -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "params", "name"),
    [
        ("a/[seed]-[steps]-[cfg_scale]-[width]x[height]", {"cfgscale": 7.5}, "a/5-2-75-64x64"),
        (
            "b/[model]-[loras]-[batch_id]-[user_name]",
            {"model": "xl_base", "loras": "ink"},
            "b/Officialsd_xl_base_10-styleink-0-local",
        ),
        ("c/[CFG Scale]_[Personal Note]_[sidelength]_[what ever]", {"personalnote": "n:o/te"}, "c/_note__[what ever]"),
        (
            "d/[original_prompt]_[used_wildcards]_[scoring]_[mine]",
            {"prompt": "<wc:anim>", "extra_metadata": {"mine": 3}},
            "d/wcanim_animals__3",
        ),
        ("c/[model]_[Refiner Model]", {"model": "short", "refinermodel": "tiny"}, "c/short_tiny"),
        ("../con/./e.<>/nul/[prompt]/ lpt1 ", {"prompt": "a/b\\c.d"}, "con_/e/nul_/abcd/lpt1_"),
        ("f/[prompthash]", {"prompt": "ü"}, f"f/{hashlib.sha256('ü'.encode()).hexdigest()[:8]}"),
        ("g/[prompt]", {"prompt": "x" * 60}, f"g/{'x' * 40}"),
    ],
)
def test_names_are_made_of_tokens(client: SwarmClient, template: str, params: dict[str, Any], name: str) -> None:
    assert saved(client, template, **params) == [f"{name}.png"]


def test_facts_of_the_picture_are_tokens_too(client: SwarmClient) -> None:
    (name,) = saved(client, "facts/[date]_[year]-[month]-[day]_[generation_time]")
    date, same, seconds = name.removeprefix("facts/").removesuffix(".png").split("_")
    assert date == same
    assert seconds.endswith(" sec")


def test_names_that_are_taken_get_numbers(client: SwarmClient) -> None:
    assert [saved(client, "n/[number]-a")[0] for _ in range(2)] == ["n/1-a.png", "n/2-a.png"]
    assert saved(client, "n/b", imageformat="JPG") == ["n/b.jpg"]
    assert [saved(client, "n/b")[0] for _ in range(2)] == ["n/b-1.png", "n/b-2.png"]
    assert client.post("DeleteImage", path="n/b-2.png") == {"success": True}
    assert saved(client, "n/b") == ["n/b-3.png"]


def test_stars_go_both_ways(client: SwarmClient) -> None:
    def listed(path: str = "") -> dict[str, Any]:
        files = client.post("ListImages", path=path, depth=4)["files"]
        return {each["src"]: json.loads(each["metadata"]).get("is_starred") for each in files if "moon" in each["src"]}

    def star(path: str) -> Any:
        return client.post("ToggleImageStarred", path=path).popitem()[1]

    saved(client, "sky/moon")
    assert [star(path) for path in ("sky/moon.png", "/sky\\moon.png", "Starred/sky/moon.png")] == [True, False, True]
    assert listed() == {"Starred/sky/moon.png": True}
    assert listed("sky") == {"moon.png": True}
    assert client.post("DeleteImage", path="sky/moon.png") == {"success": True}
    assert star("sky/moon.png") == "That file does not exist, cannot star."
    assert star("Starred/sky/moon.png") is False
    assert listed() == {"sky/moon.png": None}
