"""What whole pipelines can do besides running: start pictures, masks, LoRAs, solvers, previews, limits."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from swarm.engine.whole.previews import arranged
from swarm.engine.whole.schedulers import DIFFUSION, FLOW, scheduler_for
from swarm.engine.whole.watching import Watch, predicted, watched
from swarm.jobs.events import Preview, StepDone
from swarm.jobs.job import LoraUse, ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import SD, Bench
from tests.support.tiny import autoencoders
from tests.support.tiny.weights import write
from tests.support.tiny_models import Tiny

pytestmark = [
    pytest.mark.torch,
    # diffusers' own schedulers call numpy in a way that numpy warns about.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.fixture(scope="module")
def folder(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A pipeline class that the batched tier does not know, with siblings for pictures and masks."""
    path = tmp_path_factory.mktemp("whole") / "other"
    tiny[SD].pipeline().save_pretrained(path)
    index = json.loads((path / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionPAGPipeline"
    (path / "model_index.json").write_text(json.dumps(index))
    return ModelFile(name="other", path=path, family=None, stamp="1")


def picture(mode: str = "RGB", *, half: bool = False) -> Picture:
    image = Image.linear_gradient("L").resize((64, 64)).convert(mode)
    if half:
        image = Image.new(mode, (64, 64))
        image.paste(255, (32, 0, 64, 64))
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def test_it_starts_from_a_picture(bench: Bench, folder: ModelFile) -> None:
    plain = bench.picture(folder, steps=4)
    near = bench.picture(folder, steps=4, initimage=picture(), initimagecreativity=0.5)
    far = bench.picture(folder, steps=4, initimage=picture(), initimagecreativity=1.0)
    given = bench.picture(folder, steps=4, initimage=picture(), initimagecreativity=0.0)
    assert not torch.equal(near, plain)
    assert not torch.equal(near, far)
    assert given[0].mean() < 4
    assert given[-1].mean() > 251


def test_another_vae_paints_the_picture(bench: Bench, folder: ModelFile, tmp_path: Path) -> None:
    """From a file in the original names; one with other latents is refused by name."""
    plain = bench.picture(folder, 3, steps=2)
    parts = {}
    for name, vae in (("own", autoencoders.sd_vae(0.18215)), ("other", autoencoders.flux_vae())):
        path = write(tmp_path / f"{name}.safetensors", autoencoders.original_kl(vae))
        parts[name] = ModelFile(name=name, path=path, family=None, stamp="1")
    changed = bench.picture(folder, 3, steps=2, parts={"vae": parts["own"]})
    assert (changed - plain).abs().max() > 2.0
    assert torch.equal(bench.picture(folder, 3, steps=2), plain)
    id = bench.submit(folder, (3,), steps=2, parts={"vae": parts["other"]})
    bench.finish()
    assert "'other' is of another kind" in str(bench.said[id])


def test_textual_inversions_are_left_out_of_the_prompt(bench: Bench, folder: ModelFile) -> None:
    plain, named = (bench.picture(folder, 3, steps=2, prompt=text) for text in ("a cat", "a cat<embed:own>"))
    assert torch.equal(plain, named)


def test_creativity_is_the_share_of_steps(bench: Bench, folder: ModelFile) -> None:
    id = bench.submit(folder, steps=8, initimage=picture(), initimagecreativity=0.5)
    bench.finish()
    steps = [event for event in bench.events(id) if isinstance(event, StepDone)]
    assert (len(steps), steps[-1].overall) == (4, 1.0)


def test_a_mask_is_filled(bench: Bench, folder: ModelFile) -> None:
    values: dict[str, Any] = {"initimage": picture(), "initimagecreativity": 0.8, "steps": 4}
    masked = bench.picture(folder, **values, maskimage=picture("L", half=True))
    assert not torch.equal(masked, bench.picture(folder, **values))


def test_previews_are_of_what_is_predicted(bench: Bench, folder: ModelFile) -> None:
    id = bench.submit(folder, steps=4)
    bench.finish()
    previews = [event.picture for event in bench.events(id) if isinstance(event, Preview)]
    assert [shown.mime for shown in previews] == ["image/jpeg"] * len(previews)
    with Image.open(io.BytesIO(previews[0].data)) as image:
        assert image.size == (32, 32)


def test_every_run_has_a_solver_of_its_own(bench: Bench, folder: ModelFile) -> None:
    first = bench.picture(folder, steps=3)
    assert not torch.equal(bench.picture(folder, steps=3, sampler="heun"), first)
    assert not torch.equal(bench.picture(folder, steps=3, scheduler="karras"), first)
    assert torch.equal(bench.picture(folder, steps=3), first)
    id = bench.submit(folder, sampler="dpm_adaptive")
    bench.finish()
    assert "Choose another, 'dpmpp_2m'" in bench.failure(id).sentence


def lora_file(path: Path, *, scale: float = 0.2, layers: str = "to_q", width: int = 32) -> ModelFile:
    """A LoRA in diffusers' own spelling for two layers of the tiny UNet."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for block in ("down_blocks.0.attentions.0", "down_blocks.0.attentions.1"):
        stem = f"unet.{block}.transformer_blocks.0.attn1.{layers}"
        tensors[f"{stem}.lora_A.weight"] = torch.randn(2, width, generator=generator) * scale
        tensors[f"{stem}.lora_B.weight"] = torch.randn(32, 2, generator=generator) * scale
    save_file(tensors, path)
    return ModelFile(name=path.name, path=path, family=None, stamp=str(scale))


def use(file: ModelFile, weight: float = 1.0) -> LoraUse:
    return LoraUse(file=file, weight=weight, text_weight=weight)


def test_loras_come_and_go(bench: Bench, folder: ModelFile, path: Path) -> None:
    file = lora_file(path / "style.safetensors", scale=2.0)
    plain = bench.picture(folder)
    strong = bench.picture(folder, loras=(use(file),))
    assert not torch.equal(strong, plain)
    assert not torch.equal(bench.picture(folder, loras=(use(file, 0.5),)), strong)
    assert torch.equal(bench.picture(folder, loras=(use(file),)), strong)
    assert torch.equal(bench.picture(folder, loras=(use(file, 0.0),)), plain)
    assert torch.equal(bench.picture(folder), plain)


def test_a_lora_that_does_not_fit_is_refused_and_leaves_nothing(bench: Bench, folder: ModelFile, path: Path) -> None:
    plain = bench.picture(folder)
    wrong = lora_file(path / "wrong.safetensors", width=48)
    save_file({"something.else": torch.zeros(2)}, path / "other.safetensors")
    other = ModelFile(name="other.safetensors", path=path / "other.safetensors", family=None, stamp="1")
    for file in (wrong, other):
        id = bench.submit(folder, loras=(use(file),))
        bench.finish()
        failure = bench.failure(id)
        assert failure.kind == "bad_input"
        assert f"The LoRA '{file.name}' does not fit this model" in failure.sentence
        assert str(path) not in failure.sentence
    assert torch.equal(bench.picture(folder), plain)


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(bench: Bench, path: Path) -> None:
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPAGPipeline"}))
    (path / "unet").mkdir()
    header = json.dumps({"w": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 2**41]}}).encode()
    weights = path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    id = bench.submit(ModelFile(name="giant", path=path, family=None, stamp="1"))
    bench.finish()
    failure = bench.failure(id)
    assert failure.kind == "refused"
    assert failure.sentence.startswith("The model 'giant' needs about 4505.6 GB of main memory, and ")


@pytest.mark.case("T27")
def test_a_folder_s_own_program_is_not_run(bench: Bench, path: Path) -> None:
    index = {"_class_name": "StableDiffusionPAGPipeline", "unet": ["my_unet", "MyUNet"]}
    (path / "model_index.json").write_text(json.dumps(index))
    (path / "unet").mkdir()
    marker = path / "was-run"
    for place in (path, path / "unet"):
        (place / "my_unet.py").write_text(f"open({str(marker)!r}, 'w')\n")
    id = bench.submit(ModelFile(name="odd", path=path, family=None, stamp="1"))
    bench.finish()
    assert "brings its own program" in bench.failure(id).sentence
    assert not marker.exists()


def quiet() -> Watch:
    return Watch(
        stepped=lambda done, total: None,
        is_cancelled=lambda: False,
        wants_clean=lambda: False,
        clean=lambda latent: None,
    )


@pytest.mark.parametrize("sampler", [name for name in DIFFUSION if name != "dpmpp_sde"])
def test_each_solver_of_diffusion_models_walks_to_its_prediction(sampler: str) -> None:
    """A network that always sees the same clean latent: every solver ends there and says so on the way."""
    own = diffusers.EulerDiscreteScheduler(**NOISE, timestep_spacing="trailing")
    kind = scheduler_for(own, sampler, None)
    if kind.init_noise_sigma == 1.0:
        kind = type(kind).from_config(kind.config, prediction_type="sample")
    walk_to_target(kind)


@pytest.mark.parametrize("sampler", list(FLOW))
def test_each_solver_of_flow_models_walks_to_its_prediction(sampler: str) -> None:
    walk_to_target(scheduler_for(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), sampler, None), is_flow=True)


def walk_to_target(kind: Any, *, is_flow: bool = False) -> None:
    scheduler = watched(kind, quiet())
    target = torch.full((1, 4, 4, 4), 0.5)
    scheduler.set_timesteps(12)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 4, 4, generator=generator) * getattr(scheduler, "init_noise_sigma", 1.0)
    seen = None
    takes = {"generator": generator} if type(scheduler).__name__ in ("LCMScheduler", "DDPMScheduler") else {}
    for t in scheduler.timesteps:
        said = target
        if is_flow:
            index = scheduler.index_for_timestep(t) if scheduler.step_index is None else scheduler.step_index
            said = (x - target) / scheduler.sigmas[index].clamp(min=1e-4)
        else:
            scheduler.scale_model_input(x, t)
            if scheduler.config.prediction_type == "epsilon":
                index = scheduler.index_for_timestep(t) if scheduler.step_index is None else scheduler.step_index
                said = (x - target) / sigma_at(scheduler, index)
        given = x
        result = scheduler.step(said, t, given, **takes)
        seen = predicted(scheduler, said, given, result)
        x = result.prev_sample
    assert scheduler.watch.done == len(scheduler.timesteps)
    # Some solvers stop at the lowest noise level the model was trained on.
    assert (x - target).abs().max() < 0.12
    if seen is not None:
        torch.testing.assert_close(seen, target, atol=0.08, rtol=0.0)


def sigma_at(scheduler: Any, index: int) -> Any:
    """The noise level the network is asked at; solvers of second order ask between their steps."""
    between = getattr(scheduler, "sigmas_interpol", None)
    second = between is not None and not scheduler.state_in_first_order
    levels: Any = between if second else scheduler.sigmas
    return levels[index].clamp(min=1e-4)


def test_packed_latents_are_unpacked() -> None:
    """Flux' pipelines keep latents as tokens of two by two cells."""

    class Packing:
        vae_scale_factor = 8
        _unpack_latents = staticmethod(diffusers.FluxPipeline._unpack_latents)

    latent = torch.arange(16 * 8 * 6, dtype=torch.float32).reshape(1, 16, 8, 6)
    packed = diffusers.FluxPipeline._pack_latents(latent, 1, 16, 8, 6)
    assert packed.ndim == 3
    found = arranged(Packing(), packed, {"width": 48, "height": 64}, 16)
    assert found is not None
    assert torch.equal(found, latent)
    assert arranged(object(), packed, {"width": 48, "height": 64}, 16) is None
