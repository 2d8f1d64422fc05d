"""Videos through the whole server: asked for, made by the real engine, saved, served, listed, looked at."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

pytest.importorskip("torch")

from tests.conftest import World
from tests.media.test_video_sound import heard, tone
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port
from tests.support.tiny import hunyuan_files, svd_files, video, wan_5b_files, wan_files
from tests.support.tiny_models import tiny_sd

pytestmark = [pytest.mark.torch, pytest.mark.slow]

BACKENDS = "0:\n\ttype: diffusers_selfstart\n\tenabled: true\n\tsettings:\n\t\tGPU: 0\n"
PATIENCE = 120.0
CLIP: dict[str, Any] = {
    "model": "wan",
    "prompt": "a fox",
    "steps": 2,
    "seed": 5,
    "width": 64,
    "height": 64,
    "textvideoframes": 9,
    "videofps": 12,
}


class Filming:
    """A server with a real engine, two tiny video models and a tiny picture model."""

    def __init__(self, world: World) -> None:
        self.world = world
        (world.data / "Backends.fds").write_text(BACKENDS, encoding="utf-8")
        folder = world.models / "Stable-Diffusion"
        folder.mkdir(parents=True)
        for name in ("wan", "svd"):
            video.save(name, folder)
        wan_files.save(folder, name="bare", family="wan-2_1-text2video-1_3b")
        wan_files.save(folder, name="low", channels=36, family="wan-2_2-image2video-14b")
        wan_files.save(folder, name="high", channels=36, seed=3, family="wan-2_2-image2video-14b")
        wan_files.save_text_encoder(world.models / "clip")
        wan_files.save_vae(world.models / "VAE")
        wan_5b_files.save(folder, family=wan_5b_files.FAMILY)
        wan_5b_files.save_vae(world.models / "VAE")
        hunyuan_files.save(folder, family=hunyuan_files.FAMILY)
        hunyuan_files.save_llama(world.models / "clip")
        hunyuan_files.save_clip(world.models / "clip")
        hunyuan_files.save_vae(world.models / "VAE")
        svd_files.save(folder / "stability")
        tiny_sd().save_single_file(folder / "tiny.safetensors")
        self.server = ServerProcess(world.folder, free_port(), log=world.folder / "server.log")
        self.server.wait_until_up()
        self.client = SwarmClient(self.server.base, timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while self.client.post("GetCurrentStatus")["backend_status"]["status"] != "running":
            assert time.monotonic() < deadline, (world.folder / "server.log").read_text(encoding="utf-8")[-2000:]
            time.sleep(0.1)

    def made(self, **changes: Any) -> str:
        """The URL of the clip of a request."""
        answer = self.client.generate(**{**CLIP, **changes})
        assert "images" in answer, answer
        url: str = answer["images"][-1]
        return url

    def fetch(self, url: str, **headers: str) -> Any:
        return self.client.http.get(f"/{url}", headers=headers)


@pytest.fixture(scope="module")
def filming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filming]:
    made = Filming(World(tmp_path_factory.mktemp("filming")))
    try:
        yield made
    finally:
        made.client.http.close()
        made.server.stop()


def frames_of(data: bytes) -> tuple[int, int, int, float]:
    """(frames, width, height, frames per second) of a video file."""
    with av.open(io.BytesIO(data), "r") as file:
        stream = file.streams.video[0]
        assert stream.average_rate is not None
        count = sum(1 for _frame in file.decode(stream))
        return count, stream.width, stream.height, float(stream.average_rate)


def test_a_clip_is_made_saved_served_and_listed(filming: Filming) -> None:
    messages = list(filming.client.generate_ws(**CLIP))
    previews = [one["gen_progress"]["preview"] for one in messages if "preview" in one.get("gen_progress", {})]
    assert previews and all(shown.startswith("data:image/webp;base64,") for shown in previews)
    (said,) = [one for one in messages if "image" in one]
    url: str = said["image"]
    assert url.endswith(".mp4")

    whole = filming.fetch(url)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert frames_of(whole.content) == (9, 64, 64, 12.0)
    part = filming.fetch(url, Range="bytes=4-11")
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(whole.content)}"

    small = filming.fetch(f"{url}?preview=true")
    assert small.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(small.content)) as image:
        assert image.height == 128
        assert getattr(image, "n_frames", 1) > 1
    still = filming.fetch(f"{url}?preview=true&noanim=true")
    assert still.headers["content-type"] == "image/jpg"

    relative = url.split("/", 2)[-1]
    listed = filming.client.post("ListImages", path="", depth=5)["files"]
    (entry,) = [one for one in listed if one["src"] == relative]
    for text in (said["metadata"], entry["metadata"]):
        params = json.loads(text)["sui_image_params"]
        assert (params["model"], params["textvideoframes"]) == ("wan", 9)
    path = next(filming.world.outputs.rglob(Path(relative).name))
    beside = {other.name.removeprefix(path.stem) for other in path.parent.glob(f"{path.stem}.*")}
    assert beside == {".mp4", ".swarm.json", ".swarmpreview.jpg", ".swarmpreview.webp"}

    filming.client.post("DeleteImage", path=relative)
    assert not list(path.parent.glob(f"{path.stem}.*"))


@pytest.mark.parametrize(
    ("format", "ending", "kind"),
    [("webm", ".webm", "video/webm"), ("webp", ".webp", "image/webp"), ("gif", ".gif", "image/gif")],
)
def test_formats(filming: Filming, format: str, ending: str, kind: str) -> None:
    url = filming.made(videoformat=format, textvideoframes=5, steps=1)
    assert url.endswith(ending)
    answer = filming.fetch(url)
    assert answer.headers["content-type"] == kind
    assert filming.fetch(f"{url}?preview=true").headers["content-type"] == "image/webp"
    relative = url.split("/", 2)[-1]
    listed = filming.client.post("ListImages", path="", depth=5)["files"]
    assert any(one["src"] == relative and "a fox" in one["metadata"] for one in listed)


def test_a_picture_becomes_a_video(filming: Filming) -> None:
    picture = {"model": "tiny", "videomodel": "svd", "videosteps": 2, "videoframes": 5, "videoresolution": "Image"}
    url = filming.made(**picture, videocfg=2.0)
    assert frames_of(filming.fetch(url).content) == (5, 64, 64, 12.0)
    answer = filming.client.generate(**{**CLIP, **picture}, outputintermediateimages=True)
    endings = sorted(url.rpartition(".")[2] for url in answer["images"])
    assert endings == ["mp4", "png"]


def test_single_files_find_what_belongs_to_them(filming: Filming) -> None:
    assert frames_of(filming.fetch(filming.made(model="bare")).content) == (9, 64, 64, 12.0)
    for name in ("wan5b", "hunyuan"):
        assert frames_of(filming.fetch(filming.made(model=name, textvideoframes=5)).content)[:3] == (5, 64, 64)
    moving = {"model": "tiny", "videomodel": "stability/svd", "videosteps": 2, "videoframes": 5}
    url = filming.made(**moving, videoresolution="Image", videocfg=2.0)
    assert frames_of(filming.fetch(url).content) == (5, 64, 64, 12.0)
    picture = {"model": "tiny", "videomodel": "high", "videoswapmodel": "low", "videoswappercent": 0.5}
    url = filming.made(**picture, videosteps=2, videoframes=5, videoresolution="Image")
    assert frames_of(filming.fetch(url).content) == (5, 64, 64, 12.0)


def test_a_clip_goes_on_where_the_prompt_says_so(filming: Filming) -> None:
    longer = {"prompt": "a fox <extend:9> runs", "videoextendmodel": "svd", "videoextendformat": "webm"}
    url = filming.made(**longer, videoextendframeoverlap=1)
    assert url.endswith(".webm")
    assert frames_of(filming.fetch(url).content) == (9 + 8, 64, 64, 12.0)
    halves = {"videoextendmodel": "high", "videoextendswapmodel": "low", "videoextendswappercent": 0.5}
    url = filming.made(**{**longer, **halves}, videoextendframeoverlap=5)
    assert frames_of(filming.fetch(url).content)[0] == 9 + 4
    answer = filming.client.generate(**{**CLIP, "prompt": "a fox <extend:9> runs"})
    assert answer["error"] == (
        "You have an '<extend:' block in your prompt, but you don't have a 'Video Extend Model' selected."
    )


def test_a_clip_gets_frames_between(filming: Filming) -> None:
    url = filming.made(videoframeinterpolationmultiplier=2)
    assert frames_of(filming.fetch(url).content) == (17, 64, 64, 24.0)
    mixed = filming.made(videoframeinterpolationmultiplier=3, videoframeinterpolationmethod="Blend", videoformat="webm")
    assert frames_of(filming.fetch(mixed).content) == (25, 64, 64, 36.0)


def test_a_clip_sounds(filming: Filming) -> None:
    given = "data:audio/wav;base64," + base64.b64encode(tone(3.0)).decode()
    url = filming.made(videoaudioinput=given)
    seconds, pitch = heard(filming.fetch(url).content)
    assert seconds == pytest.approx(9 / 12, abs=0.1)
    assert pitch == pytest.approx(440, rel=0.05)
    assert "has no sound" in filming.client.generate(**CLIP, videoaudioinput=given, videoformat="gif")["error"]
    broken = "data:audio/wav;base64," + base64.b64encode(tone(0.1)[:40] + b"nothing").decode()
    answer = filming.client.generate(**CLIP, videoaudioinput=broken)
    assert "no sound that can be read" in json.dumps(answer)


def test_a_clip_that_is_not_kept_comes_as_data(filming: Filming) -> None:
    url = filming.made(donotsave=True, textvideoframes=5, steps=1)
    head, _, data = url.partition(",")
    assert head == "data:video/mp4;base64"
    assert frames_of(base64.b64decode(data))[0] == 5


def test_the_models_are_told_as_video_models(filming: Filming) -> None:
    answer = filming.client.post("ListT2IParams")
    classes, compats = answer["model_classes"], answer["model_compat_classes"]
    found = {name: classes[kind]["compat_class"] for name, kind in answer["models"]["Stable-Diffusion"]}
    assert compats[found["wan"]]["is_text2video"]
    assert compats[found["svd"]]["is_image2video"]
    ids = {param["id"] for param in answer["list"]}
    assert {"textvideoframes", "videofps", "videoformat", "videoboomerang", "videomodel", "videoframes"} <= ids
    assert {"videosteps", "videocfg", "videoresolution", "videoendimage", "videomincfg"} <= ids
    assert {"videoextendmodel", "videoextendswapmodel", "videoextendswappercent", "videoextendformat"} <= ids
    assert {"videovideocreativity", "videoaudioinput"} <= ids
    assert {"videoframeinterpolationmultiplier", "videoframeinterpolationmethod"} <= ids
    assert {"videomotionbucket", "videoaugmentationlevel", "trimvideostartframes", "trimvideoendframes"} <= ids
