"""What goes wrong in an engine ends in a sentence, in a quiet retry, or with the process; never in silence."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swarm.engine.adapters.unet import UnetDenoiser
from swarm.engine.components import Row, TextEncoder, TextOptions, Vae
from swarm.engine.decode import decode, encode
from swarm.engine.device import is_out_of_memory, is_poisoned
from swarm.engine.memory import file_key
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning
from tests.engine.conftest import SD, XL, Bench, new_bench
from tests.engine.flow_oracle import companions, model
from tests.support.tiny.stable_diffusion_3 import MEDIUM

pytestmark = pytest.mark.torch


@pytest.mark.case("F6")
@pytest.mark.case("F7")
def test_errors_are_told_apart() -> None:
    assert is_poisoned(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_poisoned(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    for words in ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"):
        assert is_out_of_memory(RuntimeError(words))
        assert not is_poisoned(RuntimeError(words))
    assert not is_poisoned(RuntimeError("shapes cannot be multiplied"))
    assert is_out_of_memory(RuntimeError("could not create a primitive"))
    assert is_out_of_memory(RuntimeError("could not create a memory object"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a matmul primitive"))


class Failing(UnetDenoiser):
    """A network whose calls end as they are told to."""

    error: Exception

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        raise self.error


def failing(files: Mapping[str, ModelFile], error: Exception) -> Bench:
    bench = new_bench()
    model = bench.models.loaded(files[SD], {})
    denoiser = Failing(model.components, model.device)
    denoiser.error = error
    bench.models.put_in_place(replace(model, denoiser=denoiser), {})
    return bench


@pytest.mark.case("F7")
def test_a_lost_device_ends_the_engine_so_that_another_can_take_over(files: Mapping[str, ModelFile]) -> None:
    error = RuntimeError("CUDA error: device-side assert triggered")
    with torch.inference_mode(), pytest.raises(RuntimeError, match="device-side assert"):
        bench = failing(files, error)
        bench.submit(files[SD])
        bench.finish()


def test_any_other_error_fails_its_job_with_a_sentence(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = failing(files, RuntimeError("shapes cannot be multiplied"))
        ids = [bench.submit(files[SD], (seed,)) for seed in range(2)]
        bench.finish()
    assert [bench.failure(id).sentence for id in ids] == ["The model failed: shapes cannot be multiplied"] * 2
    assert not bench.batcher.is_busy


def test_a_text_encoder_of_another_model_is_named_where_it_does_not_fit(fresh: Bench, tmp_path: Path) -> None:
    parts = companions(MEDIUM, tmp_path)
    wide = {**parts, "clip_l": parts["clip_g"]}
    id = fresh.submit(model(MEDIUM, MEDIUM.make(tmp_path, layout="bare")), parts=wide)
    fresh.finish()
    assert "It was completed by" in fresh.failure(id).sentence
    assert f"'{parts['clip_g'].name}'" in fresh.failure(id).sentence


@pytest.mark.case("F6")
def test_one_row_too_many_for_the_device_is_a_sentence_about_memory(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = failing(files, torch.OutOfMemoryError("CUDA out of memory"))
        id = bench.submit(files[SD])
        bench.finish()
    assert "does not have enough memory" in bench.failure(id).sentence


class Crowded:
    """A model's text encoders, which find no room as long as another model is there."""

    def __init__(self, own: TextEncoder, bench: Bench, other: ModelFile) -> None:
        self._own, self._bench, self._other = own, bench, other
        self.state, self.calls, self.awake = own.state, own.calls, own.awake

    def encode(self, text: str, options: TextOptions) -> Conditioning:
        if self._bench.models.is_loaded(file_key(self._other, {})):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._own.encode(text, options)


@pytest.mark.case("F6")
def test_other_models_leave_when_there_is_no_room_beside_them(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = new_bench()
        expected = bench.picture(files[SD], 3)
        bench.models.loaded(files[XL], {})
        model = bench.models.loaded(files[SD], {})
        text = Crowded(model.components.text, bench, files[XL])
        bench.models.put_in_place(replace(model, components=replace(model.components, text=text)), {})
        assert torch.equal(bench.picture(files[SD], 3), expected)
    assert not bench.models.is_loaded(file_key(files[XL], {}))


class Small(Vae):
    """Has room for tiles only."""

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        return self._tiled(super().decoded(latents))

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        return self._tiled(super().encoded(pictures))

    def _tiled(self, made: torch.Tensor) -> torch.Tensor:
        if self.tiles is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made


@pytest.mark.case("F6")
def test_pictures_go_through_the_vae_in_tiles_when_they_must(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = new_bench()
        own = bench.models.loaded(files[SD], {}).components
        small = Small(own.vae.module, factor=own.vae.factor, latent=own.latent)
        components, device = replace(own, vae=small), bench.models.device
        latent = encode(components, device, torch.rand(1, 3, 64, 64))
        assert decode(components, device, [latent]).shape == (1, 3, 64, 64)
    assert small.tiles is None


@pytest.mark.case("F23")
def test_a_model_that_was_changed_on_disk_is_read_again(
    files: Mapping[str, ModelFile], tiny: Mapping[str, object], tmp_path: Path
) -> None:
    """The file behind a name is replaced; the catalog sees another stamp, and the engine's copy of the old one goes."""
    path = tmp_path / "model.safetensors"
    shutil.copy(files[SD].path, path)
    before = ModelFile(name="model.safetensors", path=path, family=SD, stamp="1")
    with torch.inference_mode():
        bench = new_bench()
        first = bench.picture(before, 3)
        shutil.copy(files["deep"].path, path)
        after = replace(before, stamp="2")
        second = bench.picture(after, 3, width=128, height=128)
    assert first.shape != second.shape
    assert not bench.models.is_loaded(file_key(before, {}))


def test_a_file_damaged_while_it_waited_is_a_sentence(files: Mapping[str, ModelFile], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(files[SD].path.read_bytes()[:20_000])
    damaged = ModelFile(name="model.safetensors", path=path, family=SD, stamp="1")
    with torch.inference_mode():
        bench = new_bench()
        id, good = bench.submit(damaged), bench.submit(files[SD])
        bench.finish()
    assert "damaged" in bench.failure(id).sentence
    assert bench.pixels(good).shape == (64, 64, 3)
