"""Every family of the batched tier from the wire to the picture: known by its tensors, its companions by name."""

from __future__ import annotations

import base64
import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageChops, ImageStat

pytest.importorskip("torch")

from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port
from tests.support.tiny.auraflow import AURAFLOW
from tests.support.tiny.chroma import CHROMA
from tests.support.tiny.controls import flux_net, sd3_net, wide_lora
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import DEV, SCHNELL
from tests.support.tiny.flux_2 import DEV as FLUX_2_DEV
from tests.support.tiny.flux_2 import KLEIN
from tests.support.tiny.lumina_2 import LUMINA
from tests.support.tiny.pixart import SIGMA
from tests.support.tiny.qwen_image import EDIT_PLUS, IMAGE
from tests.support.tiny.sana import SANA
from tests.support.tiny.sdxl_refiner import REFINER
from tests.support.tiny.stable_diffusion_2 import V_MODEL
from tests.support.tiny.stable_diffusion_3 import MEDIUM, MEDIUM_35
from tests.support.tiny.unet_controls import (
    FULL,
    FULL_XL,
    control_lora,
    original_adapter,
    picture_adapter,
    plain_net,
)
from tests.support.tiny.weights import state, write
from tests.support.tiny.z_image import Z_IMAGE
from tests.support.tiny_models import tiny_sd, tiny_sdxl

pytestmark = [pytest.mark.torch, pytest.mark.slow]
PATIENCE = 180.0
BACKENDS = "0:\n\ttype: diffusers_selfstart\n\tenabled: true\n\tsettings:\n\t\tHangSeconds: 60\n"
BARE: dict[str, TinyFamily] = {
    "dev": DEV,
    "schnell": SCHNELL,
    "chroma": CHROMA,
    "medium": MEDIUM,
    "medium35": MEDIUM_35,
    "zimage": Z_IMAGE,
    "lumina": LUMINA,
    "qwen": IMAGE,
    "qwenplus": EDIT_PLUS,
    "klein": KLEIN,
    "flux2": FLUX_2_DEV,
    "pixart": SIGMA,
    "sana": SANA,
    "auraflow": AURAFLOW,
}
WHOLE: dict[str, TinyFamily] = {"sd2": V_MODEL, "refiner": REFINER}


def furnish(models: Path) -> None:
    """The models as people have them: denoisers alone, text encoders and VAEs in their own folders."""
    checkpoints, clips, vaes = models / "Stable-Diffusion", models / "text_encoders", models / "VAE"
    for folder in (checkpoints, clips, vaes):
        folder.mkdir(parents=True)
    for name, family in BARE.items():
        family.make(checkpoints, layout="bare", name=name)
        for slot, path in family.companions(models).items():
            shutil.move(path, (vaes if slot == "vae" else clips) / path.name)
    # Z-Image and Flux.2 Klein read the same text encoder; Klein's small one has the layers that both want.
    (clips / "qwen_3_4b.safetensors").unlink()
    for name, family in WHOLE.items():
        family.make(checkpoints, layout="single", name=name)
    (models / "controlnet").mkdir()
    for name, net in {"dev": flux_net(), "medium": sd3_net(MEDIUM)}.items():
        write(models / "controlnet" / f"{name}-net.safetensors", state(net))
    for name, whole, kind in (("sd", tiny_sd(), FULL), ("xl", tiny_sdxl(), FULL_XL)):
        whole.save_single_file(checkpoints / f"{name}.safetensors")
        lora, _ = control_lora(whole.unet, plain_net(whole.unet))
        write(models / "controlnet" / f"{name}-control-lora.safetensors", lora)
        adapter = original_adapter(picture_adapter(whole.unet, kind))
        write(models / "controlnet" / f"{name}-adapter.safetensors", adapter)
    write(models / "Lora" / "depth.safetensors", wide_lora())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    folder = tmp_path_factory.mktemp("families")
    (folder / "Data").mkdir()
    (folder / "Data" / "Backends.fds").write_text(BACKENDS, encoding="utf-8")
    furnish(folder / "Models")
    server = ServerProcess(folder, free_port(), log=folder / "server.log")
    try:
        server.wait_until_up()
        with SwarmClient(server.base, timeout=PATIENCE) as found:
            deadline = time.monotonic() + PATIENCE
            while found.post("GetCurrentStatus")["backend_status"]["status"] != "running":
                assert time.monotonic() < deadline, (folder / "server.log").read_text(encoding="utf-8")[-2000:]
                time.sleep(0.2)
            yield found
    finally:
        server.stop()


@pytest.mark.parametrize("name", [*BARE, *WHOLE])
def test_a_picture_from_the_wire(client: SwarmClient, name: str) -> None:
    asked: dict[str, Any] = {"model": name, "prompt": "a red fox", "steps": 3, "seed": 5, "width": 64, "height": 64}
    answer = client.generate(**asked, cfgscale=3)
    assert "images" in answer, answer
    content = httpx2.get(f"{client.base}/{answer['images'][0]}", trust_env=False).content
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (64, 64)
        assert max(ImageStat.Stat(image.convert("RGB")).stddev) > 1.0


def noise() -> str:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


UNET_CONTROLS = [(name, kind) for name in ("sd", "xl") for kind in ("control-lora", "adapter")]


@pytest.mark.parametrize(("name", "kind"), [("dev", "net"), ("medium", "net"), *UNET_CONTROLS])
def test_a_controlnet_from_the_wire(client: SwarmClient, name: str, kind: str) -> None:
    nets = {"controlnetmodel": f"{name}-{kind}", "controlnetstrength": 1, "controlnetpreprocessor": "None"}
    assert differs(client, name, {}, {**nets, "controlnetimageinput": noise()})


def test_a_lora_that_follows_a_picture_from_the_wire(client: SwarmClient) -> None:
    led = {"loras": "depth", "loraweights": "1", "initimage": noise()}
    assert differs(client, "dev", {"loras": "depth", "loraweights": "1"}, led)


def differs(client: SwarmClient, name: str, *variants: dict[str, Any]) -> bool:
    """Whether two requests for a model, alike but for this, make different pictures."""
    asked: dict[str, Any] = {"model": name, "prompt": "a red fox", "steps": 3, "seed": 5, "width": 64, "height": 64}
    pictures = []
    for more in variants:
        answer = client.generate(**asked, **more, cfgscale=1)
        assert "images" in answer, answer
        pictures.append(httpx2.get(f"{client.base}/{answer['images'][0]}", trust_env=False).content)
    plain, held = (Image.open(io.BytesIO(content)).convert("RGB") for content in pictures)
    return max(ImageStat.Stat(ImageChops.difference(plain, held)).rms) > 1.0


@pytest.mark.parametrize(
    ("model", "named", "slot"), [("dev", "txxlmodel", "t5xxl"), ("lumina", "gemmamodel", "gemma2")]
)
def test_a_companion_of_the_wrong_kind_is_refused_by_name(
    client: SwarmClient, model: str, named: str, slot: str
) -> None:
    asked = {"model": model, "prompt": "a fox", "steps": 2, "width": 64, "height": 64}
    answer = client.generate(**asked, **{named: "clip_l"})
    assert f"'clip_l.safetensors' holds no {slot} text encoder" in answer["error"]


@pytest.mark.parametrize(("model", "named"), [("klein", "qwenmodel"), ("flux2", "mistralmodel")])
def test_a_language_model_of_the_wrong_kind_is_refused(client: SwarmClient, model: str, named: str) -> None:
    asked = {"model": model, "prompt": "a fox", "steps": 2, "width": 64, "height": 64}
    answer = client.generate(**asked, **{named: "qwen_2.5_vl_7b"})
    assert "'qwen_2.5_vl_7b.safetensors' is no " in answer["error"]


def test_an_edit_model_looks_at_the_prompts_pictures(client: SwarmClient) -> None:
    shown = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(shown, "PNG")
    picture = "data:image/png;base64," + base64.b64encode(shown.getvalue()).decode()
    asked = {"model": "qwenplus", "prompt": "a fox", "steps": 2, "width": 64, "height": 64, "seed": 3}
    drawn = []
    for pictures in ({}, {"promptimages": picture, "smartimagepromptresizing": False}):
        answer = client.generate(**asked, cfgscale=1, **pictures)
        assert "images" in answer, answer
        content = httpx2.get(f"{client.base}/{answer['images'][0]}", trust_env=False).content
        with Image.open(io.BytesIO(content)) as image:
            drawn.append(image.convert("RGB").tobytes())
    assert drawn[0] != drawn[1]


def test_a_model_is_loaded_with_its_companions_ahead_of_any_picture(client: SwarmClient) -> None:
    assert client.post("SelectModel", model="chroma") == {"success": True}
