"""Another model for the negative prompt: its predictions and no others, in shared calls, with and without LoRAs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.base.errors import BadInput
from swarm.engine.memory import file_key
from swarm.engine.runner import Sampling
from swarm.engine.start import methods
from swarm.features.negative_model import NEGATIVE_MODEL, fitting_negative_model, negative_pass
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Found
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_features import differs
from tests.engine.test_lora import ATTENTION, KOHYA, lora, use
from tests.support.tiny_models import tiny_sd

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    path = tiny_sd(7).save_single_file(tmp_path_factory.mktemp("other") / "other.safetensors")
    return ModelFile(name="other", path=path, family=SD, stamp="1")


def asked(file: ModelFile, **more: Any) -> dict[str, Any]:
    return {"negativemodel": file.name, "files": {NEGATIVE_MODEL.id: file}, "negativeprompt": "rain", **more}


def told(bench: Bench, of: Pass) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a walk's first call makes of the prompt, of the negative prompt, and of both."""
    model = bench.models.ready(of)
    walk = Sampling(model, methods(), of)
    rows = walk.rows()
    walk.answer(torch.cat([model.answers([row]) for row in rows]))
    assert walk.denoised is not None
    return walk.context.cond, walk.context.uncond, walk.denoised


def test_the_negative_prompt_is_answered_by_the_other_model(
    bench: Bench, files: Mapping[str, ModelFile], other: ModelFile
) -> None:
    values = {"prompt": "a fox", "negativeprompt": "rain", "cfgscale": 3.0, "width": 64, "height": 64, "steps": 3}
    values["rescalecfgmultiplier"] = 0.0  # has the walk keep both predictions apart
    plain = Pass(input=GenerationInput(values), model=files[SD], seed=1)
    both = Pass(
        input=GenerationInput({**values, "negativemodel": other.name}),
        model=files[SD],
        seed=1,
        files={NEGATIVE_MODEL.id: other},
    )
    cond, uncond, mixed = told(bench, both)
    own_cond, own_uncond, _ = told(bench, plain)
    assert torch.allclose(cond, own_cond, atol=1e-4)
    assert (uncond - own_uncond).abs().max() > 0.01
    assert torch.allclose(mixed, uncond + 3.0 * (cond - uncond), atol=1e-3)


def test_alone_and_together_are_the_same(bench: Bench, files: Mapping[str, ModelFile], other: ModelFile) -> None:
    alone = [bench.picture(files[SD], seed, **asked(other)) for seed in (1, 2)]
    plain = bench.picture(files[SD], 1, negativeprompt="rain")
    assert differs(alone[0], plain)
    ids = [bench.submit(files[SD], (seed,), **asked(other)) for seed in (1, 2)]
    ids.append(bench.submit(files[SD], (1,), negativeprompt="rain"))
    bench.finish()
    for id, expected in zip(ids, [*alone, plain], strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_without_guidance_and_with_itself_it_changes_nothing(
    bench: Bench, files: Mapping[str, ModelFile], other: ModelFile
) -> None:
    unguided = bench.picture(files[SD], 1, cfgscale=1.0)
    assert torch.equal(bench.picture(files[SD], 1, cfgscale=1.0, **asked(other)), unguided)
    plain = bench.picture(files[SD], 1, negativeprompt="rain")
    assert torch.equal(bench.picture(files[SD], 1, **asked(files[SD])), plain)
    assert torch.equal(bench.picture(files[SD], 1, negativemodelincludeloras=False, **asked(files[SD])), plain)


def test_loras_act_on_it_or_not(bench: Bench, files: Mapping[str, ModelFile], other: ModelFile, tmp_path: Path) -> None:
    name = "lora_unet_" + ATTENTION.replace(".", "_")
    loras = (use(lora(tmp_path / "lora.safetensors", (name,), ((32, 32),), KOHYA)),)
    for file in (other, files[SD]):
        acting = bench.picture(files[SD], 1, loras=loras, **asked(file))
        without = bench.picture(files[SD], 1, loras=loras, negativemodelincludeloras=False, **asked(file))
        assert differs(acting, without)
        assert torch.equal(bench.picture(files[SD], 1, loras=loras, **asked(file)), acting)


def test_both_models_outlive_the_lack_of_room(fresh: Bench, files: Mapping[str, ModelFile], other: ModelFile) -> None:
    """Another model comes in between, and everything that no walk is on goes."""
    id = fresh.submit(files[SD], (1,), **asked(other, steps=6))
    for _ in range(6):
        fresh.turn()
    group = fresh.batcher.needed()
    assert group is not None
    assert group.weights.bases == (file_key(files[SD], {}), file_key(other, {}))
    fresh.models.loaded(files[XL], {})
    assert fresh.models.drop_others(group.weights)
    assert fresh.models.is_ready(group.weights)
    assert fresh.models.drop_others(None)
    assert not fresh.models.is_ready(group.weights)
    fresh.finish()
    assert torch.equal(fresh.pixels(id), fresh.picture(files[SD], 1, **asked(other, steps=6)))


def test_a_model_of_another_family_is_refused(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    id = bench.submit(files[SD], **asked(files[XL]))
    bench.finish()
    assert "not of the same family" in bench.failure(id).sentence


def test_later_walks_of_other_families_go_without_it(files: Mapping[str, ModelFile], other: ModelFile) -> None:
    input = GenerationInput({"negativemodel": other.name})
    of = Pass(input=input, model=files[SD], seed=1, files={NEGATIVE_MODEL.id: other}, name="refiner")
    found = negative_pass(of)
    assert found is not None
    assert found.model is other
    assert negative_pass(replace(of, model=files[XL])) is None
    assert negative_pass(replace(of, climbs=True)) is None
    assert negative_pass(replace(of, model=files[XL], name="base")) is not None, "which the engine refuses"


class Shelf:
    """Model files of a server, by name, with their families."""

    def __init__(self, bench: Bench, *files: ModelFile) -> None:
        self._files = {file.name: file for file in files}
        self._families = {file.family: bench.models.loaded(file, {}).components.architecture for file in files}

    def find(self, _subtype: str, name: str) -> ModelFile | None:
        return self._files.get(name)

    def architecture(self, file: ModelFile) -> Any:
        return self._families[file.family]


def test_the_server_refuses_another_family_before_anything_runs(
    bench: Bench, files: Mapping[str, ModelFile], other: ModelFile
) -> None:
    shelf: Any = Shelf(bench, files[SD], files[XL], other)
    fits = GenerationInput({"negativemodel": other.name})
    assert fitting_negative_model.find(fits, files[SD], shelf) == Found(parts={}, files={})
    far = GenerationInput({"negativemodel": files[XL].name})
    with pytest.raises(BadInput, match="not of the same family"):
        fitting_negative_model.find(far, files[SD], shelf)
