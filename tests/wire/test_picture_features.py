"""Segments, cut-outs, upscalers and deep colours through the whole server: listed, found on disk, acting, refused."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation  # noqa: E402

from swarm.engine.networks.compact import CompactNet  # noqa: E402
from swarm.engine.networks.u2net import U2Net  # noqa: E402
from tests.conftest import World  # noqa: E402
from tests.engine.test_background import shapes  # noqa: E402
from tests.engine.test_pose import known_file, people_file  # noqa: E402
from tests.engine.test_segments import SMALL as CLIPSEG  # noqa: E402
from tests.support.client import SwarmClient  # noqa: E402
from tests.support.server import ServerProcess, free_port  # noqa: E402
from tests.support.tiny_models import tiny_sd  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BACKENDS = "0:\n\ttype: diffusers_selfstart\n\tenabled: true\n\tsettings:\n\t\tGPU: 0\n"
PATIENCE = 120.0
PLAIN: dict[str, Any] = {"model": "tiny", "prompt": "a fox", "steps": 3, "seed": 5, "width": 64, "height": 64}


def _save(net: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, path)


class Studio:
    """A server with a real engine, a tiny checkpoint, and one small network for each feature but detectors."""

    def __init__(self, world: World) -> None:
        (world.data / "Backends.fds").write_text(BACKENDS, encoding="utf-8")
        torch.manual_seed(4)
        (world.models / "Stable-Diffusion").mkdir(parents=True)
        tiny_sd().save_single_file(world.models / "Stable-Diffusion" / "tiny.safetensors")
        brighter = tiny_sd().vae
        with torch.no_grad():
            brighter.decoder.conv_out.bias += 0.2
        _save(brighter, world.models / "VAE" / "other.safetensors")
        finder = world.models / "clipseg" / "clipseg-rd64-refined" / "model.safetensors"
        _save(CLIPSegForImageSegmentation(CLIPSegConfig(**CLIPSEG)), finder)
        (finder.parent / "config.json").write_text(json.dumps(CLIPSEG), encoding="utf-8")
        _save(U2Net(shapes(halves=False)), world.models / "rembg" / "u2net.safetensors")
        _save(CompactNet(width=6, layers=1, scale=2), world.models / "upscale_models" / "sharp" / "2x.safetensors")
        (world.models / "annotators").mkdir()
        parts = np.full((133, 4), (0, 0, 0.1, 0.1))
        parts[0] = (12, 12, 1, 1)
        known_file(world.models / "annotators" / "dw-ll_ucoco_384.onnx", parts)
        one = {19: (0.0, 0.0, log(0.3), log(0.4), 1.0, 1.0, 0.0)}
        people_file(world.models / "annotators" / "yolox_l.onnx", one)
        self.server = ServerProcess(world.folder, free_port(), log=world.folder / "server.log")
        self.server.wait_until_up()
        self.client = SwarmClient(self.server.base, timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while self.client.post("GetCurrentStatus")["backend_status"]["status"] != "running":
            assert time.monotonic() < deadline, (world.folder / "server.log").read_text(encoding="utf-8")[-2000:]
            time.sleep(0.1)

    def files(self, **changes: Any) -> list[bytes]:
        answer = self.client.generate(**{**PLAIN, **changes})
        assert "images" in answer, answer
        return [self.client.http.get(f"/{url}").content for url in answer["images"]]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(World(tmp_path_factory.mktemp("studio")))
    try:
        yield made
    finally:
        made.client.http.close()
        made.server.stop()


def opened(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        return image


def test_upscalers_are_listed_and_enlarge(studio: Studio) -> None:
    listed = {param["id"]: param for param in studio.client.post("ListT2IParams")["list"]}
    assert "model-sharp/2x.safetensors" in listed["refinerupscalemethod"]["values"]
    (file,) = studio.files(refinermethod="PostApply", refinercontrolpercentage=0.3, refinerupscale=2,
                           refinerupscalemethod="model-sharp/2x.safetensors")  # fmt: skip
    assert opened(file).size == (128, 128)


def test_what_a_segment_names_is_drawn_anew(studio: Studio) -> None:
    plain, drawn = studio.files(), studio.files(prompt="a fox <segment:eye,0.7,0> a blue eye", savesegmentmask=True)
    assert len(drawn) == 2
    assert opened(drawn[-1]).tobytes() != opened(plain[0]).tobytes()
    metadata = json.loads(opened(drawn[-1]).info["parameters"])["sui_image_params"]
    assert "<segment:eye" in metadata["prompt"]
    (cleared,) = studio.files(prompt="a fox <clear:sky,0>")
    assert opened(cleared).mode == "RGBA"


def test_poses_are_found_and_shown(studio: Studio) -> None:
    listed = {param["id"]: param for param in studio.client.post("ListT2IParams")["list"]}
    assert {"DWPreprocessor", "OpenposePreprocessor"} <= set(listed["controlnetpreprocessor"]["values"])
    (plain,) = studio.files()
    shown = "data:image/png;base64," + base64.b64encode(plain).decode()
    asked = {"controlnetstrength": 1, "controlnetimageinput": shown, "controlnetpreviewonly": True}
    (file,) = studio.files(controlnetpreprocessor="DWPreprocessor", **asked)
    # Of 12 by 16 pixels about (32, 32) that are looked at, the nose is in the middle and six pixels down.
    assert opened(file).getpixel((32, 30)) == (255, 0, 0)
    assert len(opened(file).getcolors() or ()) == 2
    answer = studio.client.generate(**{**PLAIN, **asked, "controlnetpreprocessor": "DepthAnythingPreprocessor"})
    assert "annotators/Depth-Anything-V2-Small-hf" in answer["error"]


def test_the_settings_vae_is_used_when_the_request_leaves_it_to_them(studio: Studio) -> None:
    """`Automatic` is what pages send, `automaticvae` what SwarmUI's own page does (swarm-t2i 9.4)."""

    def pixels(**changes: Any) -> bytes:
        return opened(studio.files(**changes)[0]).tobytes()

    def settle(name: str) -> None:
        studio.client.post("ChangeUserSettings", settings={"vaes.defaultsdv1vae": name})

    plain, other = pixels(), pixels(vae="other")
    assert plain != other
    assert pixels(vae="Automatic") == plain
    settle("other")
    try:
        assert pixels() == plain
        assert pixels(vae="Automatic") == pixels(automaticvae=True) == other
        assert pixels(vae="None") == plain
        settle("gone")
        answer = studio.client.generate(**PLAIN, automaticvae=True)
        assert "The VAE 'gone', which your settings name" in answer["error"]
    finally:
        settle("None")


def test_a_cut_out_keeps_sixteen_bits(studio: Studio) -> None:
    (file,) = studio.files(removebackground=True, colordepth="16bit")
    assert (file[24], file[25]) == (16, 6)
    assert "colordepth" in opened(file).info["parameters"]
    (lossy,) = studio.files(colordepth="16bit", imageformat="JPG")
    assert opened(lossy).format == "JPEG"


def test_a_detector_that_is_not_there_is_named(studio: Studio) -> None:
    answer = studio.client.generate(**{**PLAIN, "prompt": "a fox <segment:yolo-face.pt> a face"})
    assert "yolov8" in answer["error"]
