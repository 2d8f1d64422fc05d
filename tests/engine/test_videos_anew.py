"""A video model behind a base model that makes videos itself: the whole clip is made anew, or its first frame moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.jobs.events import ImageDone, StepDone
from swarm.media.clip import Clip
from tests.engine.conftest import Bench
from tests.engine.test_videos import model, result, run

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anew")


def ask(folder: Path, name: str, creativity: float, **more: Any) -> dict[str, Any]:
    values = {"videomodel": name, "videosteps": 4, "videoresolution": "Image", "videovideocreativity": creativity}
    return {**values, **more, "files": {"videomodel": model(folder, name)}}


@pytest.mark.parametrize(("name", "steps"), [("wan", 2), ("cog", 2)])
def test_the_share_of_the_steps_is_what_is_made_anew(bench: Bench, folder: Path, name: str, steps: int) -> None:
    base = model(folder, "ltx")
    before = result(run(bench, base))
    assert result(run(bench, base, **ask(folder, name, 0.0))).data == before.data
    events = run(bench, base, **ask(folder, name, 0.5), outputintermediateimages=True)
    clip = result(events)
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert [event.done for event in events if isinstance(event, StepDone)] == list(range(1, 2 + steps + 1))
    first = [event.result for event in events if isinstance(event, ImageDone) and not event.real]
    assert [shown.data for shown in first if isinstance(shown, Clip)] == [before.data]
    assert result(run(bench, base, **ask(folder, name, 0.25))).data != clip.data != before.data


def test_all_of_it_starts_from_the_first_frame(bench: Bench, folder: Path) -> None:
    base = model(folder, "ltx")
    clip = result(run(bench, base, **ask(folder, "svd", 1.0, videoframes=5)))
    assert clip.count == 5


def test_a_model_that_cannot_says_so(bench: Bench, folder: Path) -> None:
    for name in ("svd", "wan_pair"):
        id = bench.submit(model(folder, "ltx"), steps=2, textvideoframes=9, **ask(folder, name, 0.5))
        bench.finish()
        assert "cannot make a video anew" in bench.failure(id).sentence


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
