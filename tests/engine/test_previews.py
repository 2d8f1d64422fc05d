"""Which colours previews are made with."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLWan
from PIL import Image
from safetensors.torch import load_file, save_file

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.families.latents import PLAYGROUND_LATENT, QWEN_LATENT, SDXL_LATENT
from swarm.architectures.families.video_latents import WAN_22_LATENT
from swarm.engine.components import Vae
from swarm.engine.device import choose_device
from swarm.engine.preview import colours_for
from swarm.engine.start import families
from swarm.engine.whole.previews import Shown
from swarm.jobs.job import ModelFile
from tests.engine.conftest import XL
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(("mark", "space"), [("edm_mean", PLAYGROUND_LATENT), ("edm_vpred.sigma_max", SDXL_LATENT)])
def test_models_with_continuous_noise_levels_are_seen_in_their_own_latents(
    tmp_path: Path, tiny: dict[str, Tiny], mark: str, space: LatentFormat
) -> None:
    tensors = load_file(tiny[XL].save_single_file(tmp_path / "xl.safetensors"))
    save_file({**tensors, mark: torch.tensor([80.0])}, tmp_path / "edm.safetensors")
    file = ModelFile(name="edm", path=tmp_path / "edm.safetensors", family=XL, stamp="1")
    components = families().load(file, choose_device(0, "auto"), {})
    colours = colours_for(components, choose_device(0, "auto"))
    assert torch.equal(colours.factors, torch.tensor(space.rgb_factors))
    assert torch.equal(colours.bias, torch.tensor(space.rgb_bias))
    picture = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    with torch.inference_mode():
        latent, own = components.vae.encode(picture), Vae.encoded(components.vae, picture)
    torch.testing.assert_close(components.vae.bare(latent), own)
    # Tiny decoders know SDXL's scale only.
    torch.testing.assert_close(components.vae.usual(latent), own * SDXL_LATENT.scale)


class Pipe:
    """As much of a pipeline as its previews look at."""

    def __init__(self, vae: Any) -> None:
        self.vae = vae


def shown(vae: Any, latent: torch.Tensor) -> torch.Tensor:
    """The mean colour of a latent's preview, 0 to 255."""
    pipe = Pipe(vae)
    with torch.inference_mode():
        picture = Shown(pipe, choose_device(0, "auto")).picture(pipe, latent, {}, how="one")
    assert picture is not None
    image = Image.open(io.BytesIO(picture.data)).convert("RGB")
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).mean(dim=(0, 1))


@pytest.mark.parametrize("space", [QWEN_LATENT, WAN_22_LATENT], ids=["2.1", "2.2"])
def test_a_video_is_seen_in_the_colours_published_for_its_latents(space: LatentFormat) -> None:
    vae = AutoencoderKLWan(base_dim=4, z_dim=space.channels, dim_mult=[1, 1], num_res_blocks=1,
                           temperal_downsample=[False], latents_mean=[0.0] * space.channels,
                           latents_std=[1.0] * space.channels)  # fmt: skip
    colour = torch.randn(space.channels, generator=torch.Generator().manual_seed(1))
    latent = colour.view(1, -1, 1, 1, 1).expand(1, -1, 3, 8, 8)
    expected = colour @ torch.tensor(space.rgb_factors) + torch.tensor(space.rgb_bias)
    assert (shown(vae, latent) - expected.mul(127.5).add(127.5).clamp(0, 255)).abs().max() < 3


def test_latents_nobody_published_colours_for_are_seen_in_those_of_their_vae() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, latent_channels=7, scaling_factor=1.0)
    latent = torch.randn(1, 7, 1, 1, generator=torch.Generator().manual_seed(2)).expand(1, 7, 8, 8)
    with torch.inference_mode():
        decoded = vae.decode(latent).sample[0].mean(dim=(1, 2))
    assert (shown(vae, latent) - decoded.mul(127.5).add(127.5).clamp(0, 255)).abs().max() < 20
