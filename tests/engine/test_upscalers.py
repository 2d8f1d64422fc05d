"""Models that enlarge pictures: every spelling of their layers, tiles, and their place in the refine stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.device import Device, choose_device
from swarm.engine.networks.compact import CompactNet
from swarm.engine.networks.rrdb import RrdbNet
from swarm.engine.networks.upscaler import SMALLEST_TILE, Upscaler, load
from swarm.features.refiner import REFINER_UPSCALE_METHOD
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench
from tests.params.fixed_choices import CHOICES

pytestmark = pytest.mark.torch


def saved(path: Path, weights: Mapping[str, torch.Tensor]) -> ModelFile:
    save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def rrdb_net(doublings: int = 2, fold: int = 1) -> RrdbNet:
    torch.manual_seed(0)
    return RrdbNet(width=8, growth=4, blocks=2, doublings=doublings, fold=fold, out=3).eval().requires_grad_(False)


def real_names(net: RrdbNet) -> dict[str, torch.Tensor]:
    """As Real-ESRGAN spells it."""
    plain = {"first": "conv_first", "after": "conv_body", "high": "conv_hr", "last": "conv_last"}
    renamed = {}
    for name, tensor in net.state_dict().items():
        parts = name.split(".")
        if parts[0] == "blocks":
            spelled = f"body.{parts[1]}.rdb{parts[2]}.conv{parts[3]}.{parts[4]}"
        elif parts[0] == "ups":
            spelled = f"conv_up{parts[1]}.{parts[2]}"
        else:
            spelled = f"{plain[parts[0]]}.{parts[1]}"
        renamed[spelled] = tensor
    return renamed


def numbered_names(net: RrdbNet, doublings: int) -> dict[str, torch.Tensor]:
    """As the first ESRGAN numbers it: an upsampling, a convolution and a slope for each doubling, then two layers."""
    high = 3 * doublings + 2
    plain = {"first": "model.0", "after": "model.1.sub.2", "high": f"model.{high}", "last": f"model.{high + 2}"}
    renamed = {}
    for name, tensor in net.state_dict().items():
        parts = name.split(".")
        if parts[0] == "blocks":
            spelled = f"model.1.sub.{parts[1]}.RDB{parts[2]}.conv{parts[3]}.0.{parts[4]}"
        elif parts[0] == "ups":
            spelled = f"model.{3 * int(parts[1])}.{parts[2]}"
        else:
            spelled = f"{plain[parts[0]]}.{parts[1]}"
        renamed[spelled] = tensor
    return renamed


def middle_names(net: RrdbNet) -> dict[str, torch.Tensor]:
    """As ESRGAN's own second layout spells it."""
    pairs = (("conv_body", "trunk_conv"), ("body.", "RRDB_trunk."), (".rdb", ".RDB"), ("conv_up", "upconv"))
    renamed = {}
    for name, tensor in real_names(net).items():
        for old, new in (*pairs, ("conv_hr", "HRconv")):
            name = name.replace(old, new)
        renamed[name] = tensor
    return renamed


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 3, 20, 26, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def device() -> Device:
    return choose_device(0, "float32")


@pytest.mark.parametrize("doublings", [0, 1, 2, 3])
def test_the_first_spelling_is_read_at_every_scale(
    path: Path, image: torch.Tensor, device: Device, doublings: int
) -> None:
    net = rrdb_net(doublings)
    upscaler = load(saved(path / "a.safetensors", numbered_names(net, doublings)), device)
    assert upscaler.scale == 2**doublings
    assert torch.allclose(upscaler(image), net(image).clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize("wrap", ["", "params_ema."])
def test_the_other_spellings_and_wrapped_halves_are_read(
    path: Path, image: torch.Tensor, device: Device, wrap: str
) -> None:
    net = rrdb_net()
    for number, named in enumerate((real_names(net), middle_names(net))):
        halves = {wrap + name: tensor.half() for name, tensor in named.items()}
        upscaler = load(saved(path / f"{number}.safetensors", halves), device)
        assert (upscaler(image) - net(image).clamp(0, 1)).abs().max() < 5e-3


@pytest.mark.parametrize(("fold", "scale"), [(2, 2), (4, 1)])
def test_folded_pictures_of_any_size_come_out_whole(
    path: Path, device: Device, image: torch.Tensor, fold: int, scale: int
) -> None:
    upscaler = load(saved(path / "f.safetensors", real_names(rrdb_net(fold=fold))), device)
    assert upscaler(image[..., :19, :25]).shape == (1, 3, 19 * scale, 25 * scale)


def test_the_compact_network_adds_to_the_picture(path: Path, image: torch.Tensor, device: Device) -> None:
    net = CompactNet(width=6, layers=3, scale=4)
    upscaler = load(saved(path / "c.safetensors", net.state_dict()), device)
    assert torch.allclose(upscaler(image), net(image).clamp(0, 1), atol=1e-5)
    silent = {name: tensor * 0 for name, tensor in net.state_dict().items()}
    ground = load(saved(path / "s.safetensors", silent), device)(image)
    assert torch.equal(ground, image.repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_tiles_leave_no_seams(path: Path, device: Device) -> None:
    net = CompactNet(width=6, layers=3, scale=2)
    upscaler = load(saved(path / "c.safetensors", net.state_dict()), device)
    large = torch.rand(1, 3, 100, 150, generator=torch.Generator().manual_seed(1))
    difference = (upscaler(large, 40) - upscaler(large, 1024)).abs()
    # A tile's own border, where it sees no further, hardly counts.
    assert difference.mean() < 0.005
    assert difference.max() < 0.1


def test_tiles_are_halved_until_they_fit(device: Device) -> None:
    seen: list[int] = []

    def net(piece: torch.Tensor) -> torch.Tensor:
        seen.append(max(piece.shape[-2:]))
        if seen[-1] > 200:
            raise torch.OutOfMemoryError("too much")
        return piece

    image = torch.rand(1, 3, 300, 300)
    assert torch.allclose(Upscaler(net, 1, device, torch.float32)(image, 300), image)
    assert seen[:2] == [300, 150]

    def never(piece: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(torch.OutOfMemoryError):
        Upscaler(never, 1, device, torch.float32)(image, SMALLEST_TILE * 2)


def test_what_is_no_upscaler_is_refused_in_a_sentence(path: Path, device: Device) -> None:
    with pytest.raises(BadInput, match=r"neither ESRGAN nor Real-ESRGAN|no upscaler that is known"):
        load(saved(path / "x.safetensors", {"a.weight": torch.zeros(2)}), device)
    broken = {name: tensor for name, tensor in real_names(rrdb_net()).items() if name != "conv_hr.weight"}
    with pytest.raises(BadInput, match="lacks some"):
        load(saved(path / "y.safetensors", broken), device)
    torch.save({"a": torch.zeros(2)}, path / "z.pth")
    with pytest.raises(BadInput, match="Pickle2SafeTensor converts it"):
        load(ModelFile(name="z.pth", path=path / "z.pth", family=None, stamp="1"), device)


def test_the_refine_stage_enlarges_by_a_model(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    net = CompactNet(width=6, layers=1, scale=2)
    silent = {name: tensor * 0 for name, tensor in net.state_dict().items()}
    values = {
        "refinermethod": "PostApply",
        "refinercontrolpercentage": 0.0,
        "refinerupscale": 2.0,
        "refinerupscalemethod": "model-c.safetensors",
        "files": {"upscaler": saved(path / "c.safetensors", silent)},
    }
    plain = bench.picture(files[SD], 3)
    made = bench.picture(files[SD], 3, **values)
    assert (made - plain.repeat_interleave(2, 0).repeat_interleave(2, 1)).abs().max() <= 1.0
    smaller = bench.picture(files[SD], 3, **{**values, "refinerupscale": 1.5, "refinercontrolpercentage": 0.4})
    assert smaller.shape == (96, 96, 3)


def test_the_folder_is_listed_as_methods() -> None:
    options = dict(REFINER_UPSCALE_METHOD.options(CHOICES) or ())
    assert options["model-4x.safetensors"] == "Model: 4x"
