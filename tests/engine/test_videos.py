"""Video families as whole pipelines: clips from text, from a picture given, and from a picture just made."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from swarm.engine.device import choose_device
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.jobs.job import ModelFile
from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels
from tests.engine.conftest import SD, Bench, new_bench
from tests.support.tiny import video

pytestmark = [
    pytest.mark.torch,
    # diffusers' own schedulers call numpy in a way that numpy warns about.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def family(folder: Path, request: pytest.FixtureRequest) -> ModelFile:
    return model(folder, request.param)


def model(folder: Path, name: str, **more: Any) -> ModelFile:
    path = folder / name
    if not path.exists():
        video.save(name, folder)
    return ModelFile(name=name, path=path, family=None, stamp="1", **more)


def picture(side: int = 64) -> Picture:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((side, side)).convert("RGB").save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def run(bench: Bench, model: ModelFile, seed: int = 1, **values: Any) -> list[BackendEvent]:
    id = bench.submit(model, (seed,), **{"steps": 2, "textvideoframes": 9, **values})
    bench.finish()
    return bench.events(id)


def result(events: list[BackendEvent]) -> Any:
    done = [event.result for event in events if isinstance(event, ImageDone) and event.real]
    assert len(done) == 1, events
    return done[0]


@pytest.mark.parametrize("family", ["wan", "wan_pair", "ltx", "hunyuan", "cog"], indirect=True)
def test_text_becomes_a_clip(bench: Bench, family: ModelFile) -> None:
    events = run(bench, family, steps=3, videofps=12, sampler="euler", scheduler="normal")
    clip = result(events)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count, clip.fps) == (64, 64, 9, 12)
    assert len(set(clip.data)) > 8
    assert [event.done for event in events if isinstance(event, StepDone)] == [1, 2, 3]
    previews = [event.picture for event in events if isinstance(event, Preview)]
    assert previews and all(shown.mime == "image/webp" for shown in previews)


@pytest.mark.parametrize("family", ["wan_picture", "wan_22_picture", "ltx", "svd"], indirect=True)
def test_a_picture_becomes_a_clip(bench: Bench, family: ModelFile) -> None:
    clip = result(run(bench, family, initimage=picture()))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_the_seed_and_the_prompt_decide(bench: Bench, family: ModelFile) -> None:
    first = result(run(bench, family, seed=3))
    assert result(run(bench, family, seed=3)).data == first.data
    assert result(run(bench, family, seed=4)).data != first.data
    assert result(run(bench, family, seed=3, prompt="something else")).data != first.data
    assert result(run(bench, family, seed=3, negativeprompt="fox")).data != first.data
    assert result(run(bench, family, seed=3, cfgscale=2.0)).data != first.data


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_frames_are_rounded_trimmed_and_turned(bench: Bench, family: ModelFile) -> None:
    assert result(run(bench, family, textvideoframes=12)).count == 9
    assert result(run(bench, family, trimvideostartframes=2, trimvideoendframes=3)).count == 4
    assert result(run(bench, family, videoboomerang=True)).count == 16
    assert isinstance(result(run(bench, family, textvideoframes=1)), Pixels)
    id = bench.submit(family, steps=1, textvideoframes=5, trimvideostartframes=9)
    bench.finish()
    assert "leaves none" in bench.failure(id).sentence


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_previews_are_shown_as_asked(bench: Bench, family: ModelFile) -> None:
    def kinds(how: str) -> set[str]:
        events = run(bench, family, steps=3, videopreviewtype=how)
        return {event.picture.mime for event in events if isinstance(event, Preview)}

    assert kinds("animate") == {"image/webp"}
    assert kinds("iterate") == kinds("one") == {"image/jpeg"}
    assert kinds("none") == set()


def test_a_whole_pipeline_steps_aside_where_memory_is_short(files: Mapping[str, ModelFile], folder: Path) -> None:
    """A device with hardly anything free keeps one of them, one with room keeps both."""
    device = choose_device(0, "auto")
    for memory, stays in ((2**60, False), (1, True)):
        short = new_bench(device=replace(device, memory=memory))
        with torch.inference_mode():
            run(short, model(folder, "ltx"))
            short.picture(files[SD])
        assert short.whole.is_ready(model(folder, "ltx"), {}) is stays


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_a_clip_that_fits_no_memory_is_refused(bench: Bench, family: ModelFile) -> None:
    id = bench.submit(family, width=16384, height=16384, textvideoframes=1000)
    bench.finish()
    assert bench.failure(id).kind == "refused"
    assert bench.failure(id).sentence.startswith("A video of 997 frames of 16384x16384 needs about ")


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_solvers(bench: Bench, family: ModelFile) -> None:
    own = result(run(bench, family, steps=3)).data
    solvers = ("euler", "dpmpp_2m", "uni_pc", "heun")
    made = {name: result(run(bench, family, steps=3, sampler=name)).data for name in solvers}
    assert len(set(made.values())) == 4
    assert made["euler"] == own
    assert result(run(bench, family, steps=3, scheduler="simple", sigmashift=8.0)).data == own
    assert result(run(bench, family, steps=3, scheduler="simple", sigmashift=3.0)).data != own


@pytest.mark.parametrize("family", ["cog"], indirect=True)
def test_a_model_without_habits_keeps_its_solver_unless_it_is_asked(bench: Bench, family: ModelFile) -> None:
    own = result(run(bench, family)).data
    assert result(run(bench, family)).data == own
    assert result(run(bench, family, sampler="heun")).data != own


@pytest.mark.parametrize("family", ["svd"], indirect=True)
def test_stable_video_diffusion_is_told_how_to_move(bench: Bench, family: ModelFile) -> None:
    start: dict[str, Any] = {"initimage": picture(), "cfgscale": 3.0}
    plain = result(run(bench, family, **start)).data
    assert result(run(bench, family, **start, videomotionbucket=800)).data != plain
    assert result(run(bench, family, **start, videomincfg=-1.0)).data != plain
    assert result(run(bench, family, **start, videoaugmentationlevel=2.0)).data != plain
    assert result(run(bench, family, **start, videofps=3)).data != plain
    id = bench.submit(family)
    bench.finish()
    assert "Give it one as init image" in bench.failure(id).sentence


@pytest.mark.parametrize("family", ["wan_22_picture"], indirect=True)
def test_a_clip_ends_with_the_picture_asked_for(bench: Bench, family: ModelFile) -> None:
    plain = result(run(bench, family, initimage=picture()))
    ended = result(run(bench, family, initimage=picture(), videoendimage=picture(32)))
    assert ended.data != plain.data


@pytest.mark.parametrize("family", ["wan_picture", "svd"], indirect=True)
def test_a_model_that_knows_no_end_says_so(bench: Bench, family: ModelFile) -> None:
    id = bench.submit(family, steps=2, initimage=picture(), videoendimage=picture())
    bench.finish()
    assert "does not know how to end" in bench.failure(id).sentence


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_a_model_that_reads_only_text_says_so(bench: Bench, family: ModelFile) -> None:
    id = bench.submit(family, initimage=picture())
    bench.finish()
    assert "cannot start from a picture" in bench.failure(id).sentence


@pytest.mark.parametrize("family", ["wan"], indirect=True)
def test_a_clip_is_cancelled_in_the_middle(bench: Bench, family: ModelFile) -> None:
    class AfterTwoQuestions(set[str]):
        """Nobody waits any more once the engine has asked twice: before the run, and after its first step."""

        asked = 0

        def __contains__(self, id: object) -> bool:
            self.asked += 1
            return self.asked > 2

    before = bench.mailbox.cancelled
    bench.mailbox.cancelled = AfterTwoQuestions()
    id = bench.submit(family, steps=5, textvideoframes=9)
    bench.finish()
    bench.mailbox.cancelled = before
    assert sum(isinstance(event, StepDone) for event in bench.events(id)) == 1
    assert not any(isinstance(event, ImageDone) for event in bench.events(id))
    assert isinstance(result(run(bench, family)), Clip)


def test_a_finished_picture_becomes_a_video(bench: Bench, files: Mapping[str, ModelFile], folder: Path) -> None:
    """The base walk is of the batched tier; the video model runs whole, at its own size."""
    svd = model(folder, "svd", width=128, height=64)
    values: dict[str, Any] = {
        "videomodel": "svd",
        "videosteps": 2,
        "videoframes": 5,
        "videocfg": 2.0,
        "files": {"videomodel": svd},
    }
    events = run(bench, files[SD], width=128, height=128, outputintermediateimages=True, **values)
    clip = result(events)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 5)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.done for event in steps] == [1, 2, 3, 4]
    assert steps[-1].overall == 1.0
    before = [event.result for event in events if isinstance(event, ImageDone) and not event.real]
    assert [type(shown) for shown in before] == [Pixels]
    preferred = run(bench, files[SD], width=128, height=128, videoresolution="Model Preferred", **values)
    assert (result(preferred).width, result(preferred).height) == (128, 64)


def test_a_whole_pipeline_s_picture_becomes_a_video(bench: Bench, folder: Path, tiny: Mapping[str, Any]) -> None:
    path = folder / "other"
    if not path.exists():
        tiny[SD].pipeline().save_pretrained(path)
        index = path / "model_index.json"
        index.write_text(index.read_text().replace('"StableDiffusionPipeline"', '"StableDiffusionPAGPipeline"'))
    other = ModelFile(name="other", path=path, family=None, stamp="1")
    values: dict[str, Any] = {"videomodel": "ltx", "videosteps": 2, "videoframes": 9}
    values["files"] = {"videomodel": model(folder, "ltx")}
    clip = result(run(bench, other, **values, videoresolution="Image"))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
