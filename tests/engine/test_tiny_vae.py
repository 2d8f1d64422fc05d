"""Previews by a published tiny decoder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from swarm.base.errors import BadInput
from swarm.engine.device import Device, choose_device
from swarm.engine.vaes.tiny_vae import TinyVae, readable
from swarm.engine.whole.previews import Shown
from swarm.features.image_to_video import VIDEO_MODEL
from swarm.features.previews import TINY_VAE, TINY_VIDEO_VAE, tiny_vae
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
    with pytest.raises(BadInput, match="no tiny decoder"):
        TinyVae.load(file, choose_device(0, "auto"))


def test_a_file_that_is_no_decoder_costs_nothing_but_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file({"1.weight": torch.zeros(64, 4, 3, 3), "2.bias": torch.zeros(2)}, tmp_path / "x.safetensors")
    file = ModelFile(name="x.safetensors", path=tmp_path / "x.safetensors", family=None, stamp="1")
    assert readable(file, choose_device(0, "auto")) is None
    assert "another shape" in caplog.text


def drawn(rgb: torch.Tensor) -> torch.Tensor:
    """(H, W, 3) as (3, H, W), 0 to 1."""
    return (rgb.permute(2, 0, 1) + 1) / 2


def blocks_of(state: Mapping[str, torch.Tensor], at: str, x: torch.Tensor, leak: float = 0.0) -> torch.Tensor:
    """The three convolutions of a published block."""
    for number in (0, 2, 4):
        x = functional.conv2d(x, state[f"{at}.conv.{number}.weight"], state[f"{at}.conv.{number}.bias"], padding=1)
        x = functional.leaky_relu(x, leak) if number < 4 else x
    return x


def pooled(state: dict[str, torch.Tensor], latent: torch.Tensor) -> torch.Tensor:
    """What Flux.2's decoder draws: its first three blocks add what a wide look at all of the picture says."""
    x = functional.relu(functional.conv2d(torch.tanh(latent / 3) * 3, state["1.weight"], state["1.bias"], padding=1))
    for at in range(3, 18):
        if at in (6, 11, 16):
            x = functional.interpolate(x, scale_factor=2)
        elif at in (7, 12, 17):
            x = functional.conv2d(x, state[f"{at}.weight"], padding=1)
        else:
            if at < 6:
                wide = functional.conv2d(x, state[f"{at}.pool.0.weight"])
                wide = functional.group_norm(wide, 4, state[f"{at}.pool.1.weight"], state[f"{at}.pool.1.bias"])
                x = x + functional.conv2d(functional.relu(wide), state[f"{at}.pool.3.weight"])
            x = functional.relu(blocks_of(state, str(at), x) + x)
    x = functional.relu(blocks_of(state, "18", x) + x)
    return functional.conv2d(x, state["19.weight"], state["19.bias"], padding=1)[0]


def published_flux_2(path: Path) -> dict[str, torch.Tensor]:
    published(path, 32)
    state: dict[str, torch.Tensor] = load_file(path)
    generator = torch.Generator().manual_seed(3)
    for at in (3, 4, 5):
        state[f"{at}.pool.0.weight"] = torch.randn(256, 64, 1, 1, generator=generator) / 8
        state[f"{at}.pool.1.weight"], state[f"{at}.pool.1.bias"] = torch.ones(256), torch.zeros(256)
        state[f"{at}.pool.3.weight"] = torch.randn(64, 256, 1, 1, generator=generator) / 16
    save_file(state, path)
    return state


@pytest.mark.parametrize("prefix", ["", "decoder.layers."])
def test_flux_2_is_shown_by_its_decoder_in_both_layouts(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "taef2_decoder.safetensors"
    state = published_flux_2(path)
    if prefix:
        begin = {name: name.partition(".") for name in state}
        save_file({f"{prefix}{int(n) - 1}.{rest}": state[name] for name, (n, _, rest) in begin.items()}, path)
    file = ModelFile(name=path.name, path=path, family=None, stamp="1")
    latent = torch.randn(1, 128, 3, 4, generator=torch.Generator().manual_seed(1))
    tiny = TinyVae.load(file, choose_device(0, "auto"))
    assert tiny.sees(latent) and not tiny.sees(latent[:, :16])
    with torch.inference_mode():
        # A position is a patch of two by two cells.
        cells = latent.view(1, 32, 2, 2, 3, 4).permute(0, 1, 4, 2, 5, 3).reshape(1, 32, 6, 8)
        expected = pooled(state, cells)
        assert expected.shape == (3, 48, 64) and expected.std() > 0.01
        torch.testing.assert_close(drawn(tiny.rgb(latent)), expected, atol=1e-4, rtol=1e-4)


FILMS = {"taew2_1": (16, 1, 0.0), "lighttaew2_2": (48, 2, 0.0), "lighttaehy1_5": (32, 2, 0.2)}
"""Channels, side of a patch, and leak of published video decoders."""


def film_state(channels: int, patch: int) -> dict[str, torch.Tensor]:
    """A decoder of TAEHV's kind, narrower than the published."""
    generator = torch.Generator().manual_seed(4)
    widths, times, state = (8, 6, 4, 4), (1, 2, 2), {}

    def conv(name: str, out: int, into: int, side: int = 3, bias: bool = True) -> None:
        state[f"decoder.{name}.weight"] = torch.randn(out, into, side, side, generator=generator) / (into**0.5 * side)
        if bias:
            state[f"decoder.{name}.bias"] = torch.randn(out, generator=generator) / 4

    conv("1", widths[0], channels)
    for level, grown in enumerate(times):
        at, width = 3 + 6 * level, widths[level]
        for block in range(at, at + 3):
            conv(f"{block}.conv.0", width, width * 2)
            conv(f"{block}.conv.2", width, width)
            conv(f"{block}.conv.4", width, width)
        conv(f"{at + 4}.conv", width * grown, width, side=1, bias=False)
        conv(f"{at + 5}", widths[level + 1], width, bias=False)
    conv("22", 3 * patch**2, widths[3])
    return state


def film(state: Mapping[str, torch.Tensor], latent: torch.Tensor, patch: int, leak: float) -> torch.Tensor:
    """The last frame a latent one becomes, frame after frame, each block remembering what it saw last."""
    x = functional.conv2d(torch.tanh(latent / 3) * 3, state["decoder.1.weight"], state["decoder.1.bias"], padding=1)
    frames = [functional.leaky_relu(x, leak)]
    for level in range(3):
        at = 3 + 6 * level
        for block in range(at, at + 3):
            seen, made = torch.zeros_like(frames[0]), []
            for frame in frames:
                both = blocks_of(state, f"decoder.{block}", torch.cat([frame, seen], 1), leak)
                made.append(functional.leaky_relu(both + frame, leak))
                seen = frame
            frames = made
        grown: list[torch.Tensor] = []
        for frame in frames:
            large = functional.interpolate(frame, scale_factor=2)
            several = functional.conv2d(large, state[f"decoder.{at + 4}.conv.weight"])
            grown += several.chunk(several.shape[1] // frame.shape[1], dim=1)
        frames = [functional.conv2d(frame, state[f"decoder.{at + 5}.weight"], padding=1) for frame in grown]
    last = functional.leaky_relu(frames[3], leak)
    last = functional.conv2d(last, state["decoder.22.weight"], state["decoder.22.bias"], padding=1)
    return functional.pixel_shuffle(last, patch)[0].clamp(0, 1)


@pytest.mark.parametrize("name", FILMS)
def test_latents_of_videos_are_shown_by_their_decoders(tmp_path: Path, name: str) -> None:
    channels, patch, leak = FILMS[name]
    state = film_state(channels, patch)
    path = tmp_path / f"{name}.safetensors"
    # The whole autoencoder is in the file.
    save_file({**state, "encoder.0.weight": torch.zeros(2)}, path)
    tiny = TinyVae.load(ModelFile(name=path.name, path=path, family=None, stamp="1"), choose_device(0, "auto"))
    latent = torch.randn(1, channels, 3, 4, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        expected = film(state, latent, patch, leak)
        assert expected.shape == (3, 24 * patch, 32 * patch) and expected.std() > 0.01
        torch.testing.assert_close(drawn(tiny.rgb(latent)), expected, atol=1e-5, rtol=1e-4)
    assert tiny.reads_bare == (name == "lighttaew2_2")


class Quick(Device):
    """A device that is quick enough for tiny decoders."""

    @property
    def is_cuda(self) -> bool:
        return True


class Pipe:
    """As much of a pipeline as its previews look at."""

    vae = AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1], num_res_blocks=1, temperal_downsample=[False])


@pytest.mark.parametrize("name", ["lighttaew2_1", "taew2_1"])
def test_a_video_is_shown_by_its_decoder_in_the_scale_that_this_reads(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.safetensors"
    state = film_state(16, 1)
    save_file(state, path)
    tiny = ModelFile(name=path.name, path=path, family=None, stamp="1")
    place = choose_device(0, "auto")
    quick = Quick(**{each.name: getattr(place, each.name) for each in fields(place)})
    latent = torch.randn(1, 16, 5, 8, 8, generator=torch.Generator().manual_seed(6))
    frame = latent[:, :, 2]
    mean, spread = (
        torch.tensor(each).view(1, -1, 1, 1) for each in (Pipe.vae.config.latents_mean, Pipe.vae.config.latents_std)
    )
    with torch.inference_mode():
        picture = Shown(Pipe, quick).picture(Pipe, latent, {}, how="one", tiny=tiny)
        scales = {"taew2_1": frame, "lighttaew2_1": frame * spread + mean}
        expected = {each: film(state, scaled, 1, 0.0).mul(255) for each, scaled in scales.items()}
    assert picture is not None
    found = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"), dtype=np.float32)
    # JPEG blurs what is this fine; patches as large as a latent cell are left.
    seen = functional.avg_pool2d(torch.from_numpy(found).permute(2, 0, 1), 8)
    off = {each: (seen - functional.avg_pool2d(drawn, 8)).abs().mean() for each, drawn in expected.items()}
    assert off.pop(name) < 0.7 * min(off.values())
    moving = Shown(Pipe, quick).picture(Pipe, latent, {}, tiny=tiny)
    assert moving is not None and Image.open(io.BytesIO(moving.data)).n_frames == 5  # type: ignore[attr-defined]


class Shelf:
    """A models folder that holds some files, and one video model."""

    def __init__(self, *held: str) -> None:
        self._held = held

    def beside(self, relative: str) -> ModelFile | None:
        return model(relative) if relative.removeprefix("vae_approx/") in self._held else None

    def find(self, subtype: str, name: str) -> ModelFile | None:
        return model(name, "wan-21-14b") if subtype == "Stable-Diffusion" else None


def model(name: str, space: str = "") -> ModelFile:
    return ModelFile(name=name, path=Path(name), family=None, stamp="1", latent_space=space)


DECODERS = {
    "sdxl": "taesdxl_decoder.safetensors",
    "flux1": "taef1_decoder.safetensors",
    "flux2": "taef2_decoder.safetensors",
    "qwenimage": "lighttaew2_1.safetensors",
    "wan-21-14b": "lighttaew2_1.safetensors",
    "wan-22-5b": "taew2_2.safetensors",
    "hunyuan-video": "taehv.safetensors",
}


@pytest.mark.parametrize("space", [*DECODERS, "unheard of"])
def test_the_decoder_is_the_one_for_the_model_s_latents(space: str) -> None:
    shelf = Shelf("taew2_1.safetensors", *DECODERS.values())
    found = tiny_vae.find(GenerationInput(), model("m", space), shelf)  # type: ignore[arg-type]
    names = {TINY_VAE: f"vae_approx/{DECODERS[space]}"} if space in DECODERS else {}
    assert {key: file.name for key, file in found.files.items()} == names


def test_a_video_model_has_a_decoder_of_its_own() -> None:
    shelf = Shelf("taew2_1.safetensors", "taesdxl_decoder.safetensors")
    input = GenerationInput({VIDEO_MODEL.id: "wan"})
    found = tiny_vae.find(input, model("m", "sdxl"), shelf)  # type: ignore[arg-type]
    assert {key: file.name for key, file in found.files.items()} == {
        TINY_VAE: "vae_approx/taesdxl_decoder.safetensors",
        TINY_VIDEO_VAE: "vae_approx/taew2_1.safetensors",
    }
