"""`<extend:frames>`: clips that go on from their own last frames, by models that see several of them or one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.engine.whole.going_on import joined, pipeline_going_on, shared_frames
from swarm.jobs.events import StepDone
from swarm.jobs.job import ModelFile
from swarm.media.clip import Clip
from tests.engine.conftest import SD, Bench
from tests.engine.test_videos import model, result, run
from tests.support.tiny import video

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("longer")


def extended(folder: Path, name: str, prompt: str = "a fox <extend:9//cid=11>", **more: Any) -> dict[str, Any]:
    values = {"prompt": prompt, "videoextendmodel": name, "videoextendframeoverlap": 5, **more}
    return {**values, "files": {"videoextendmodel": model(folder, name)}}


@pytest.mark.parametrize(
    ("name", "count"),
    [("ltx", 9 + 9 - 5), ("wan_22_picture", 9 + 9 - 5), ("wan_picture", 9 + 9 - 5), ("svd", 9 + 9 - 1)],
)
def test_a_clip_goes_on(bench: Bench, folder: Path, name: str, count: int) -> None:
    wan = model(folder, "wan")
    before = result(run(bench, wan, videofps=12))
    events = run(bench, wan, videofps=12, **extended(folder, name))
    clip = result(events)
    assert (clip.width, clip.height, clip.count, clip.fps) == (64, 64, count, 12)
    assert clip.data.startswith(before.data)
    done = [event.done for event in events if isinstance(event, StepDone)]
    assert done == [1, 2, 3, 4]


def test_models_that_see_several_frames_hear_all_of_them(bench: Bench, folder: Path) -> None:
    """The same last frame, other frames before it: what follows is another."""
    wan = model(folder, "wan")
    for name, overlap in (("wan_22_picture", 5), ("ltx", 9)):
        ask = extended(folder, name, "a fox <extend:17//cid=11>")
        one = result(run(bench, wan, **{**ask, "videoextendframeoverlap": 1}))
        several = result(run(bench, wan, **{**ask, "videoextendframeoverlap": overlap}))
        assert (one.count, several.count) == (9 + 16, 9 + 17 - overlap)
        shared = one.frame_bytes * 9
        assert one.data[:shared] == several.data[:shared]
        assert one.data[shared:][: one.frame_bytes] != several.data[shared:][: one.frame_bytes]


def test_extensions_follow_one_another_with_words_of_their_own(bench: Bench, folder: Path) -> None:
    wan = model(folder, "wan")
    prompts = (
        "a fox <extend:5//cid=11> runs <extend:5//cid=12>",
        "a fox <extend:5//cid=11> runs <extend:5//cid=12> and sleeps",
        "a fox <extend:5//cid=11> leaps <extend:5//cid=12>",
    )
    clips = [result(run(bench, wan, **extended(folder, "svd", prompt), initimage=None)) for prompt in prompts[:1]]
    clips += [
        result(run(bench, wan, **extended(folder, "wan_22_picture", p, videoextendframeoverlap=1))) for p in prompts
    ]
    assert [clip.count for clip in clips] == [17, 17, 17, 17]
    first, second, third = (clip.data for clip in clips[1:])
    until = clips[0].frame_bytes * 13
    assert first[:until] == second[:until] and first[until:] != second[until:]
    assert first[:until] != third[:until]


def test_trimming_and_turning_come_last(bench: Bench, folder: Path) -> None:
    ask = extended(folder, "svd", "a fox <extend:5//cid=11>", trimvideostartframes=3, videoboomerang=True)
    assert result(run(bench, model(folder, "wan"), **ask)).count == 2 * (9 + 4 - 3) - 2


def test_a_picture_of_the_batched_tier_goes_on(bench: Bench, files: Mapping[str, ModelFile], folder: Path) -> None:
    ask = extended(folder, "svd", "a fox <extend:5//cid=11>")
    clip = result(run(bench, files[SD], **ask))
    assert isinstance(clip, Clip)
    assert clip.count == 1 + 4
    ask["files"] |= {"videomodel": model(folder, "svd")}
    values: dict[str, Any] = {"videomodel": "svd", "videosteps": 1, "videoframes": 5, "videoresolution": "Image"}
    events = run(bench, files[SD], **ask, **values, videoboomerang=True)
    assert result(events).count == 2 * (5 + 4) - 2
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.done for event in steps] == [1, 2, 3, 4]
    assert steps[-1].overall == 1.0


def test_an_extension_of_no_length_is_refused(bench: Bench, folder: Path) -> None:
    ask = extended(folder, "wan_22_picture", "a fox <extend:5//cid=11>")
    id = bench.submit(model(folder, "wan"), steps=1, textvideoframes=9, **ask)
    bench.finish()
    assert "lower the Video Extend Frame Overlap" in bench.failure(id).sentence


def test_what_a_model_is_shown() -> None:
    torch.manual_seed(0)
    assert pipeline_going_on(video.FAMILIES["ltx"]()).__name__ == "LTXConditionPipeline"
    assert shared_frames(video.FAMILIES["wan_22_picture"](), 12, 33) == 9
    assert shared_frames(video.FAMILIES["wan"](), 12, 33) == 1
    short = Clip(width=2, height=1, fps=8, data=bytes(range(12)))
    small = Clip(width=1, height=1, fps=8, data=bytes(range(100, 106)))
    assert joined(short, small, 1).data == short.data + bytes((103, 104, 105)) * 2


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
