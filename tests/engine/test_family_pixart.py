"""PixArt-Σ through the engine: every layout, diffusers' own picture, company of other prompts, LoRAs, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, PixArtTransformer2DModel

from swarm.architectures.families.transformers import PIXART_SIGMA as FAMILY
from swarm.base.errors import BadInput
from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.simple import simple
from swarm.engine.adapters.pixart_load import pixart_config, pixart_names
from swarm.engine.device import choose_device
from swarm.engine.files.renaming import expected_shapes
from swarm.engine.latents import seeded_noise
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.family_checks import (
    drawn,
    file_of,
    in_company,
    lora_and_change,
    nearly_equal,
    scaled_file,
    weights_of,
)
from tests.engine.flow_oracle import companions, model, pixels
from tests.support.tiny.pixart import SIGMA
from tests.support.tiny.weights import filled, fresh, state, write

pytestmark = pytest.mark.torch
CONFIG = {"num_attention_heads": 3, "cross_attention_dim": 48, "use_additional_conditions": True}
ASKED: dict[str, Any] = {
    "prompt": "a red fox in the snow",
    "negativeprompt": "blurry",
    "steps": 4,
    "scheduler": "simple",
    "cfgscale": 4.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pixart")


@pytest.fixture(scope="module")
def separate(folder: Path) -> Mapping[str, ModelFile]:
    return companions(SIGMA, folder)


@pytest.fixture(scope="module")
def bare(folder: Path) -> ModelFile:
    return model(SIGMA, SIGMA.make(folder, layout="bare"))


class GivenSigmas(EulerDiscreteScheduler):  # type: ignore[misc]
    """Euler on a list of sigmas that was worked out elsewhere."""

    given: list[float]

    def set_timesteps(self, *_: Any, **__: Any) -> None:
        table = FAMILY.sigma_table()
        self.sigmas = torch.tensor(self.given)
        self.timesteps = torch.tensor([table.nearest_t(sigma) for sigma in self.given[:-1]])
        self.num_inference_steps = len(self.timesteps)
        self._step_index = self._begin_index = None


def plain(pipe: Any, steps: int, seed: int, shape: tuple[int, int, int], **arguments: Any) -> torch.Tensor:
    pipe.scheduler = GivenSigmas.from_config(pipe.scheduler.config, prediction_type="epsilon")
    pipe.scheduler.given = simple.sigmas(steps, FAMILY.sigma_table(), ScheduleOptions())
    # The pipeline multiplies latents by sigma_max; we start from sqrt(1 + sigma_max²), as ComfyUI does.
    top = pipe.scheduler.given[0]
    scaled_noise = seeded_noise(seed, shape) * ((1 + top**2) ** 0.5 / float(pipe.scheduler.init_noise_sigma))
    return pixels(
        pipe(
            num_inference_steps=steps, latents=scaled_noise, output_type="pt", use_resolution_binning=False,
            height=shape[1] * 8, width=shape[2] * 8, **arguments,
        )
    )  # fmt: skip


def test_a_picture_is_the_pipelines_picture(bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    prompts = {"prompt": ASKED["prompt"], "negative_prompt": "blurry"}
    expected = plain(SIGMA.reference(), 4, 7, (4, 8, 8), guidance_scale=4.0, **prompts)
    assert (drawn(bench, bare, separate, 7, ASKED) - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


def test_a_picture_without_guidance_is_the_pipelines_picture(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]
) -> None:
    """On a canvas that is no square."""
    expected = plain(SIGMA.reference(), 3, 1, (4, 8, 12), guidance_scale=1.0, prompt="a cat")
    wish = {**ASKED, "prompt": "a cat", "steps": 3, "cfgscale": 1.0, "width": 96}
    assert (drawn(bench, bare, separate, 1, wish) - expected).abs().max() <= 2.0


def test_the_noise_levels_are_those_of_evenly_spaced_betas() -> None:
    scheduler = EulerDiscreteScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
    alphas = scheduler.alphas_cumprod.double()
    expected = ((1 - alphas) / alphas).sqrt()
    found = torch.tensor(FAMILY.sigma_table().sigmas, dtype=torch.float64)
    assert torch.allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("kind", ["prefixed", "folder", "sharded", "diffusers", "gguf"])
def test_every_file_makes_the_same_picture(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path, kind: str
) -> None:
    file = file_of(SIGMA, folder, separate, kind)
    expected = drawn(bench, bare, separate, 3, ASKED)
    assert (drawn(bench, file, separate, 3, ASKED) - expected).abs().max() <= 1.0


def test_every_weight_arrives(bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path) -> None:
    nearly_equal(SIGMA, weights_of(bare, separate), 0.0)
    nearly_equal(SIGMA, weights_of(scaled_file(SIGMA, folder), separate), 0.07)


def test_pictures_in_company_are_the_pictures_alone(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]
) -> None:
    assert in_company(bench, bare, separate) <= 1.0


@pytest.mark.parametrize("home", ["diffusion_model.", "lora_unet_"])
def test_a_lora_of_an_original_layer_is_its_change(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path, home: str
) -> None:
    lora, changed = lora_and_change(SIGMA, folder, "blocks.1.attn.qkv", home=home)
    id = bench.submit(bare, (4,), parts=separate, loras=(lora,), **ASKED)
    bench.finish()
    found = bench.pixels(id)
    assert (found - drawn(bench, changed, separate, 4, ASKED)).abs().max() <= 1.0
    assert (found - drawn(bench, bare, separate, 4, ASKED)).abs().max() > 2.0


def test_a_missing_companion_is_named_with_its_place(bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"t5xxl_enconly\.safetensors.*models/text_encoders"):
        families().load(bare, device, {"vae": separate["vae"]})
    with pytest.raises(BadInput, match=r"sdxl_vae\.safetensors.*models/VAE"):
        families().load(bare, device, {"t5xxl": separate["t5xxl"]})


def test_shapes_tell_the_config() -> None:
    """A network of the told config has exactly the weights."""
    whole = expected_shapes(SIGMA.denoiser())
    for shapes in ({name: tuple(value.shape) for name, value in SIGMA.original().items()}, whole):
        assert expected_shapes(PixArtTransformer2DModel(**pixart_config(shapes))) == whole


def test_the_table_of_places_tells_the_training_size() -> None:
    shapes = {name: tuple(value.shape) for name, value in SIGMA.original().items()}
    assert pixart_config(shapes)["sample_size"] == 128
    assert pixart_config({**shapes, "pos_embed": (1, 1024, 32)})["sample_size"] == 64


def told_of_sizes() -> Any:
    """The network with three heads of 16, which is told how large the picture is; a third of its width each."""
    network = PixArtTransformer2DModel.from_config({**SIGMA.config(), **CONFIG})
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    return filled(network, fresh(shapes, 5))


def test_models_that_are_told_sizes_hear_them(bench: Bench, separate: Mapping[str, ModelFile], folder: Path) -> None:
    """The pipeline does not say them, so its network is made to hear them."""
    network = told_of_sizes()
    path = write(folder / "told.safetensors", state(network))
    assert pixart_config({name: tuple(value.shape) for name, value in state(network).items()})[
        "use_additional_conditions"
    ]
    found = drawn(bench, model(SIGMA, path), separate, 1, {**ASKED, "width": 96})
    whole = network.forward

    def telling(x: torch.Tensor, **told: Any) -> Any:
        sizes = torch.tensor([[64.0, 96.0]] * len(x))
        told["added_cond_kwargs"] = {"resolution": sizes, "aspect_ratio": sizes[:, :1] / sizes[:, 1:]}
        return whole(x, **told)

    network.forward = telling
    prompts = {"prompt": ASKED["prompt"], "negative_prompt": "blurry"}
    expected = plain(SIGMA.pipeline(network), 4, 1, (4, 8, 12), guidance_scale=4.0, **prompts)
    assert (found - expected).abs().max() <= 2.0


def test_original_names_of_what_tells_sizes_are_known() -> None:
    names = pixart_names(1)
    assert names.lora_names("csize_embedder_mlp_0") == ("adaln_single_emb_resolution_embedder_linear_1",)
    assert names.lora_names("ar_embedder_mlp_2") == ("adaln_single_emb_aspect_ratio_embedder_linear_2",)


def test_odd_sizes_and_endless_prompts_work(bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    wish = {**ASKED, "steps": 1, "width": 72, "height": 88, "prompt": "word " * 1200}
    assert drawn(bench, bare, separate, 2, wish).shape == (88, 72, 3)
