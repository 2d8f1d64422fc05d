"""A client as other people write them for SwarmUI: only the address is ours (swarm-t2i 11.1)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from PIL import Image
from websockets.sync.client import connect

from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import write_model

LORA_TENSORS = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 4),
    "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 768),
}


class Script:
    """Asks for a session when told that it has none, and tries again; three times at most."""

    def __init__(self, address: str, user: str | None = None) -> None:
        headers = {} if user is None else {"X-SWARM-USER_ID": user}
        self.address = address.rstrip("/")
        self.http = httpx2.Client(headers=headers, timeout=30, trust_env=False)
        self.session = "left over from last month"
        self.sessions_made = 0

    def call(self, route: str, **body: Any) -> dict[str, Any]:
        for _ in range(3):
            answer = self.http.post(f"{self.address}/API/{route}", json={**body, "session_id": self.session})
            found: dict[str, Any] = answer.json()
            if found.get("error_id") != "invalid_session_id":
                return found
            self.begin()
        raise RuntimeError("no session")

    def begin(self) -> None:
        self.sessions_made += 1
        answer = self.http.post(f"{self.address}/API/GetNewSession", json={})
        self.session = answer.json()["session_id"]

    def stream(self, **body: Any) -> Iterator[dict[str, Any]]:
        for _ in range(3):
            invalid = False
            for message in self._messages({**body, "session_id": self.session}):
                if message.get("error_id") == "invalid_session_id":
                    invalid = True
                else:
                    yield message
            if not invalid:
                return
            self.begin()

    def _messages(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        address = self.address.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
        with connect(address, proxy=None) as socket:
            socket.send(json.dumps(body))
            for text in socket:
                yield json.loads(text)

    def picture(self, path: str) -> Image.Image:
        answer = self.http.get(f"{self.address}/{path}")
        answer.raise_for_status()
        return Image.open(io.BytesIO(answer.content))


@pytest.fixture
def script(world: World, serve: Serve) -> Iterator[Script]:
    for name in ("style/ink", "gold"):
        write_model(world.models / "Lora" / f"{name}.safetensors", LORA_TENSORS)
    made = Script(serve().base + "/")
    yield made
    made.http.close()


CAMEL: dict[str, Any] = {
    **{"images": 1, "prompt": "a lighthouse", "negativePrompt": "blurry", "model": "Tiny.safetensors"},
    **{"seed": "42", "cfgScale": "6.5", "Steps": 3.0, "width": "64", "height": 64, "sampler": "Euler"},
    **{"scheduler": "karras", "loras": "ink, gold.safetensors", "lora_weights": "0.5,1.25", "clipStopAtLayer": "-2"},
    **{"style_preset": "anime", "guidance": {"deep": [1]}, "automaticvae": True, "unknown": None},
    **{"extra_metadata": {"used_by": "a script", "list": ["a", 1]}, "Override Outpath Format": "[seed]-[prompt]"},
}


def test_a_post_with_keys_in_every_spelling(script: Script) -> None:
    answer = script.call("GenerateText2Image", **CAMEL)
    assert answer == {"images": ["View/local/42-a lighthouse.png"]}
    assert script.sessions_made == 1
    with script.picture(answer["images"][0]) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))
        said = json.loads(picture.info["parameters"])
    params = said["sui_image_params"]
    expected = {
        **{"prompt": "a lighthouse", "negativeprompt": "blurry", "model": "tiny", "seed": 42, "cfgscale": 6.5},
        **{"steps": 3, "width": 64, "height": 64, "sampler": "euler", "scheduler": "karras", "clipstopatlayer": -2},
        **{"loras": ["style/ink", "gold"], "loraweights": ["0.5", "1.25"]},
    }
    assert {key: params.get(key) for key in expected} == expected
    assert list(params)[-1] == "swarm_version"
    assert not {"stylepreset", "style_preset", "unknown", "guidance"} & set(params)
    assert (said["sui_extra_data"]["used_by"], said["sui_extra_data"]["list"]) == ("a script", ["a", 1])
    assert [(one["param"], one["name"]) for one in said["sui_models"]] == [
        ("model", "tiny.safetensors"),
        ("loras", "style/ink.safetensors"),
        ("loras", "gold.safetensors"),
    ]
    assert all(one["hash"].startswith("0x") and len(one["hash"]) == 66 for one in said["sui_models"])


def test_a_socket_with_a_session_of_last_month(script: Script) -> None:
    messages = list(script.stream(**CAMEL))
    assert script.sessions_made == 1
    (image,) = [message for message in messages if "image" in message]
    assert (image["image"], image["batch_index"]) == ("View/local/42-a lighthouse.png", "0")
    with script.picture(image["image"]) as picture:
        assert json.loads(picture.info["parameters"]) == json.loads(image["metadata"])
    assert "socket_intention" in messages[-2] and "status" in messages[-1]


def test_what_was_recorded_can_be_sent_again(script: Script) -> None:
    (first,) = script.call("GenerateText2Image", **CAMEL)["images"]
    with script.picture(first) as picture:
        said = json.loads(picture.info["parameters"])["sui_image_params"]
        pixels = picture.tobytes()
    (second,) = script.call("GenerateText2Image", **{"images": 1, **said})["images"]
    with script.picture(second) as picture:
        again = json.loads(picture.info["parameters"])["sui_image_params"]
        assert picture.tobytes() == pixels
    assert {**again, "wildcardseed": 0} == {**said, "wildcardseed": 0}


def test_an_empty_model_is_no_parse_error(script: Script) -> None:
    body = {**CAMEL, "model": "", "loras": "", "lora_weights": ""}
    assert script.call("GenerateText2Image", **body) == {"error": "No model input given. Did your UI load properly?"}


def test_values_that_cannot_be_used_are_named_as_on_swarm(script: Script) -> None:
    def error(**change: Any) -> str:
        return str(script.call("GenerateText2Image", **{**CAMEL, **change})["error"])

    assert error(seed="x") == (
        "Invalid value for parameter Seed: Invalid integer value for param Seed - 'x' - "
        "must be a valid integer (eg '0', '3', '-5', etc)"
    )
    assert error(cfgScale="1,2,x") == (
        "Invalid value for parameter CFG Scale: Invalid decimal value for param CFG Scale - '1,2,x' - "
        "must be a valid decimal (eg '0.0', '3.5', '-5.2', etc)"
    )
    assert error(noPreviews="yes") == (
        "Invalid value for parameter No Previews: Invalid boolean value for param No Previews - 'yes' - "
        "must be exactly 'true' or 'false'"
    )
    assert error(loras="ink,zinc") == (
        "Invalid value for parameter LoRAs: Invalid value for param LoRAs - 'ink,zinc' - "
        "must be one of: `(None)`, `gold`, `style/ink`"
    )
    assert error(model="nothing") == (
        "Invalid value for parameter Model: Invalid model value for param Model - 'nothing' - "
        "are you sure that model name is correct?"
    )
    assert error(rawResolution="32x64").endswith("Invalid resolution: 32x64 (must be between 64x64 and 16384x16384)")


def test_many_pictures_come_as_many_entries(script: Script) -> None:
    images = script.call("GenerateText2Image", **{**CAMEL, "images": "3", "overrideoutpathformat": "x/[number]"})
    assert sorted(images["images"]) == ["View/local/x/1.png", "View/local/x/2.png", "View/local/x/3.png"]


def test_another_user_by_header(script: Script) -> None:
    other = Script(script.address, user="my_bot")
    answer = other.call("GenerateText2Image", **CAMEL)
    assert answer == {"images": ["View/my_bot/42-a lighthouse.png"]}
    assert other.picture(answer["images"][0]).size == (64, 64)
    listed = other.call("ListImages", path="", depth=2)["files"]
    assert [file["src"] for file in listed] == ["42-a lighthouse.png"]
    assert script.call("ListImages", path="", depth=2)["files"] == []
    other.http.close()


def test_a_page_lists_what_it_needs_before_it_asks(script: Script) -> None:
    params = script.call("ListT2IParams")
    model = params["models"]["Stable-Diffusion"][0][0]
    ids = {param["id"] for param in params["list"]}
    optional = {group["id"] for group in params["groups"] if group["toggles"]}
    assert {"prompt", "seed", "steps", "cfgscale", "width", "height", "sampler", "scheduler", "initimage"} <= ids
    defaults = {
        param["id"]: param["default"]
        for param in params["list"]
        if param["default"] and not param["toggleable"] and param["group"] not in optional
        if param["type"] in ("integer", "decimal", "boolean")
    }
    answer = script.call("GenerateText2Image", **{**defaults, "model": model, "prompt": "x", "width": 64, "height": 64})
    assert "images" in answer, answer
    assert len(answer["images"]) == 1


def test_the_plain_client_of_these_tests_agrees(script: Script) -> None:
    with SwarmClient(script.address) as client:
        assert client.generate(**{**CAMEL, "donotsave": "TRUE"})["images"][0].startswith("data:image/png;base64,")
