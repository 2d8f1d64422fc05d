"""Previews by a published tiny decoder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.device import choose_device
from swarm.engine.tiny_vae import TinyVae
from swarm.features.previews import TINY_VAE, tiny_vae
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput

pytestmark = pytest.mark.torch


def published(path: Path, channels: int) -> AutoencoderTiny:
    """Write a decoder as its author does: plain layer numbers, the first layer a clamp without weights."""
    torch.manual_seed(0)
    tiny = AutoencoderTiny(latent_channels=channels).eval()
    state = tiny.decoder.state_dict()
    numbered = {}
    for name, tensor in state.items():
        _, number, rest = name.split(".", 2)
        numbered[f"{int(number) + 1}.{rest}"] = tensor.contiguous()
    save_file(numbered, path)
    return tiny


@pytest.mark.parametrize("channels", [4, 16])
def test_a_preview_is_what_the_decoder_draws(tmp_path: Path, channels: int) -> None:
    tiny = published(tmp_path / "d.safetensors", channels)
    file = ModelFile(name="d.safetensors", path=tmp_path / "d.safetensors", family=None, stamp="1")
    latent = torch.randn(1, channels, 8, 12, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        shown = TinyVae.load(file, choose_device(0, "auto")).picture(latent)
        large = TinyVae.load(file, choose_device(0, "auto")).picture(latent.repeat(1, 1, 12, 12))
        drawn = tiny.decoder(latent)[0]
    picture = Image.open(io.BytesIO(shown.data))
    assert picture.size == (96, 64)
    assert max(Image.open(io.BytesIO(large.data)).size) <= 512
    found = torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32)).mean(dim=(0, 1))
    expected = drawn.mul(127.5).add(127.5).clamp(0, 255).mean(dim=(1, 2))
    assert (found - expected).abs().max() < 4


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    file = ModelFile(name="x.safetensors", path=tmp_path / "x.safetensors", family=None, stamp="1")
    with pytest.raises(BadInput, match="no TAESD decoder"):
        TinyVae.load(file, choose_device(0, "auto"))


class Shelf:
    """A models folder that holds what it is asked for."""

    def beside(self, relative: str) -> ModelFile:
        return ModelFile(name=relative, path=Path(relative), family=None, stamp="1")


@pytest.mark.parametrize(("space", "name"), [("sdxl", "taesdxl"), ("flux1", "taef1"), ("unheard of", None)])
def test_the_decoder_is_the_one_for_the_model_s_latents(space: str, name: str | None) -> None:
    model = ModelFile(name="m", path=Path("m"), family=None, stamp="1", latent_space=space)
    found = tiny_vae.find(GenerationInput(), model, Shelf())  # type: ignore[arg-type]
    names = {TINY_VAE: f"vae_approx/{name}_decoder.safetensors"} if name else {}
    assert {key: file.name for key, file in found.files.items()} == names
