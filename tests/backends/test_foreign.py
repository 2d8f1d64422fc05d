"""ComfyUI and Stable Diffusion WebUI as backends, each a strict fake of the real program on a port of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swarm.backends.types.fake import as_png, gradient
from tests.support.a1111 import FakeWebUi
from tests.support.client import SwarmClient
from tests.support.comfy import FakeComfy
from tests.support.foreign import served
from tests.support.models import write_model
from tests.support.remote import a_server, backend_file, wait_for

SMALL: dict[str, Any] = {"prompt": "a cat", "model": "tiny", "steps": 3, "width": 64, "height": 64, "seed": 7}
PICTURE = base64.b64encode(as_png(gradient(3, 64, 64)).data).decode()


@contextmanager
def with_backend(folder: Path, type_id: str, address: str) -> Iterator[SwarmClient]:
    """Our server, whose only backend is that."""
    write_model(folder / "own" / "Models" / "Lora" / "style.safetensors")
    with a_server(folder / "own", backend_file(type_id, Address=address), "tiny") as client:
        wait_for(lambda: client.post("ListBackends")["0"]["status"] == "running", 20)
        yield client


@contextmanager
def comfy_server(folder: Path, **given: Any) -> Iterator[tuple[SwarmClient, FakeComfy]]:
    comfy = FakeComfy(["tiny.safetensors", "sub\\theirs.safetensors"], ["style.safetensors"], **given)
    with served(comfy.app) as address, with_backend(folder, "comfyui_api", address) as client:
        yield client, comfy


@contextmanager
def webui_server(folder: Path, **given: Any) -> Iterator[tuple[SwarmClient, FakeWebUi]]:
    webui = FakeWebUi(("other.ckpt [0a1b2c3d]", "sub\\tiny.safetensors [4e5f6a7b]"), **given)
    with served(webui.app) as address, with_backend(folder, "auto_webui_api", address) as client:
        yield client, webui


def used(graph: dict[str, Any], class_type: str) -> list[dict[str, Any]]:
    return [node["inputs"] for node in graph.values() if node["class_type"] == class_type]


def interrupted(client: SwarmClient, has_begun: Any) -> None:
    """Ask for a picture, stop it once it is in work, and wait for the end."""
    with client.socket("GenerateText2ImageWS") as open_socket:
        open_socket.send(json.dumps({"session_id": client.session_id, "images": 1, **SMALL, "steps": 100}))
        wait_for(has_begun)
        client.post("InterruptAll")
        assert not any("image" in json.loads(message) for message in open_socket)


def test_comfy_says_what_it_can(tmp_path: Path) -> None:
    with comfy_server(tmp_path) as (client, _):
        [backend] = client.post("ListBackends").values()
        assert backend["features"] == [
            "comfyui", "controlnet", "endstepsearly", "folderbackslash", "freeu", "refiners",
        ]  # fmt: skip
        assert backend["max_usages"] == 2


def test_comfy_makes_pictures_each_from_its_own_seed(tmp_path: Path) -> None:
    with comfy_server(tmp_path) as (client, comfy):
        frames = client.generate_ws(**SMALL, batchsize=2, sampler="heun", scheduler="karras", cfgscale=5)
        images = [one for one in frames if "image" in one]
        assert [one["batch_index"] for one in images] == ["0", "1"], frames[-3:]
        assert any("preview" in one.get("gen_progress", {}) for one in frames)
        samplers = used(comfy.prompts[-1], "KSamplerAdvanced")
        assert [one["noise_seed"] for one in samplers] == [7, 8]
        assert {(one["sampler_name"], one["scheduler"], one["cfg"], one["steps"]) for one in samplers} == {
            ("heun", "karras", 5.0, 3)
        }
        wait_for(lambda: len(comfy.forgotten) == len(comfy.prompts))


def test_comfy_gets_loras_init_image_and_mask(tmp_path: Path) -> None:
    with comfy_server(tmp_path) as (client, comfy):
        extra = {"loras": "style", "loraweights": "0.5", "initimage": PICTURE, "initimagecreativity": 0.5}
        answer = client.generate(**{**SMALL, "steps": 4}, **extra, maskimage=PICTURE)
        assert len(answer.get("images", ())) == 1, answer
        graph = comfy.prompts[-1]
        assert used(graph, "LoraLoader")[0]["strength_model"] == 0.5
        assert used(graph, "KSamplerAdvanced")[0]["start_at_step"] == 2
        assert len(used(graph, "LoadImage")) == len(comfy.uploads) == 2 and used(graph, "SetLatentNoiseMask")


def test_comfy_errors_and_lacks_are_said(tmp_path: Path) -> None:
    with comfy_server(tmp_path) as (client, _):
        assert client.generate(**{**SMALL, "prompt": "boom"})["error"] == "ComfyUI execution error: boom!"
        lacking = client.generate(**SMALL, sampler="lms")["error"]
        assert lacking == "ComfyUI does not have the sampler 'lms'."
        assert "flag 'variation_seed'" in client.generate(**SMALL, variationseed=1, variationseedstrength=0.5)["error"]


def test_interrupting_stops_comfy(tmp_path: Path) -> None:
    with comfy_server(tmp_path, steps_pause=0.05) as (client, comfy):
        interrupted(client, lambda: any(used(one, "KSamplerAdvanced")[0]["steps"] == 100 for one in comfy.prompts))
        wait_for(lambda: len(comfy.interrupted) == 1)


def test_webui_loads_the_model_and_paints(tmp_path: Path) -> None:
    with webui_server(tmp_path) as (client, webui):
        answer = client.generate(
            **SMALL, batchsize=2, loras="style", loraweights="0.5", autowebuisampler="DPM++ 2M", negativeprompt="dog"
        )
        assert len(answer.get("images", ())) == 2, answer
        assert webui.checkpoint == "sub\\tiny.safetensors [4e5f6a7b]"
        [body] = webui.asked
        assert (body["prompt"], body["negative_prompt"]) == ("a cat <lora:style:0.5>", "dog")
        assert (body["seed"], body["batch_size"], body["sampler_name"]) == (7, 2, "DPM++ 2M")


def test_webui_starts_from_a_picture(tmp_path: Path) -> None:
    with webui_server(tmp_path) as (client, webui):
        answer = client.generate(**SMALL, initimage=PICTURE, initimagecreativity=0.4)
        assert len(answer.get("images", ())) == 1, answer
        [body] = webui.asked
        assert body["denoising_strength"] == pytest.approx(0.4) and len(body["init_images"]) == 1


def test_webui_shows_progress_and_can_be_stopped(tmp_path: Path) -> None:
    with webui_server(tmp_path, seconds=1.2) as (client, webui):
        frames = client.generate_ws(**SMALL)
        assert any("preview" in one.get("gen_progress", {}) for one in frames)
        webui.seconds = 30
        interrupted(client, lambda: len(webui.asked) == 2)
        wait_for(lambda: webui.interrupted == 1)
