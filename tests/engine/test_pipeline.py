"""The whole-pipeline tier: folders of other pipelines, called as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from swarm.jobs.events import ImageDone, LoadingModel, StepDone
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench
from tests.support.tiny_models import Tiny

pytestmark = [
    pytest.mark.torch,
    # diffusers' own schedulers call numpy in a way that numpy warns about.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A pipeline class that the batched tier does not know, made of known parts."""
    path = tmp_path_factory.mktemp("whole") / "other"
    tiny[SD].pipeline().save_pretrained(path)
    index = json.loads((path / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionPAGPipeline"
    (path / "model_index.json").write_text(json.dumps(index))
    return ModelFile(name="other", path=path, family=None, stamp="1")


def test_another_pipeline_makes_its_picture(bench: Bench, folder: ModelFile) -> None:
    id = bench.submit(folder, steps=4)
    bench.finish()
    events = bench.events(id)
    assert isinstance(events[0], LoadingModel)
    assert sum(isinstance(event, StepDone) for event in events) == 4
    assert bench.pixels(id).shape == (64, 64, 3)
    assert torch.equal(bench.picture(folder, steps=4), bench.pixels(id))


def test_it_is_cancelled_in_the_middle(bench: Bench, folder: ModelFile) -> None:
    id = bench.submit(folder, steps=4)
    bench.mailbox.cancelled.add(id)
    bench.finish()
    assert not any(isinstance(event, ImageDone) for event in bench.events(id))
    bench.mailbox.cancelled.discard(id)


def test_both_tiers_take_turns(bench: Bench, files: Mapping[str, ModelFile], folder: ModelFile) -> None:
    ids = [bench.submit(files[SD]), bench.submit(folder, steps=2), bench.submit(files[SD])]
    bench.finish()
    assert all(bench.pixels(id) is not None for id in ids)


def test_a_folder_diffusers_cannot_load_is_refused(bench: Bench, path: Path) -> None:
    (path / "model_index.json").write_text(json.dumps({"_class_name": "NoSuchPipeline"}))
    id = bench.submit(ModelFile(name="odd", path=path, family=None, stamp="1"))
    bench.finish()
    assert bench.failure(id).kind == "bad_input"
