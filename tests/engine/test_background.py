"""Removing the background: both networks in their published layouts, and the picture that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.device import choose_device
from swarm.engine.networks.cutter import Cutter, load
from swarm.engine.networks.u2net import U2Net
from swarm.features.background import cutter_file
from swarm.jobs.events import ImageDone
from swarm.jobs.job import ModelFile
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench
from tests.engine.test_segments import Shelf

pytestmark = pytest.mark.torch
WIDTH, MIDDLE = 4, 2


def shapes(*, halves: bool) -> dict[str, tuple[int, ...]]:
    """The shapes that tell a small network from another; the rest follows from them."""
    found: dict[str, tuple[int, ...]] = {}
    for name in [f"stage{k}" for k in range(1, 7)] + [f"stage{k}d" for k in range(5, 0, -1)]:
        into = WIDTH * 2 if name.endswith("d") else 3 if name == "stage1" and not halves else WIDTH
        found[f"{name}.rebnconvin.conv_s1.weight"] = (WIDTH, into, 3, 3)
        found[f"{name}.rebnconv1.conv_s1.weight"] = (MIDDLE, WIDTH, 3, 3)
    found |= {f"side{k}.weight": (1, WIDTH, 3, 3) for k in range(1, 7)}
    return found | ({"conv_in.weight": (WIDTH, 3, 3, 3)} if halves else {"outconv.weight": (1, 6, 1, 1)})


def saved(path: Path, *, halves: bool, counted: bool = True) -> ModelFile:
    torch.manual_seed(2)
    weights = U2Net(shapes(halves=halves)).state_dict()
    kept = {name: tensor.clone() for name, tensor in weights.items() if counted or "num_batches" not in name}
    save_file(kept, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@pytest.mark.parametrize("halves", [False, True])
def test_published_layouts_are_read(path: Path, halves: bool) -> None:
    device = choose_device(0, "float32")
    cutter = load(saved(path / "a.safetensors", halves=halves), device)
    image = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(0))
    front = cutter(image)
    assert front.shape == (1, 1, 50, 70)
    assert float(front.max()) > 0.9
    assert float(front.min()) < 0.1
    bare = load(saved(path / "b.safetensors", halves=halves, counted=False), device)
    assert torch.equal(bare(image), front)


def test_the_layers_have_their_published_names() -> None:
    names = set(U2Net(shapes(halves=False)).state_dict())
    for layer in (
        "stage1.rebnconv7",
        "stage1.rebnconv6d",
        "stage4.rebnconv4",
        "stage5.rebnconv3d",
        "stage2d.rebnconv6",
    ):
        assert {f"{layer}.conv_s1.weight", f"{layer}.conv_s1.bias", f"{layer}.bn_s1.running_mean"} <= names
    assert "outconv.weight" in names
    assert "stage4.rebnconv5.conv_s1.weight" not in names


def test_the_picture_gets_transparent_behind(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    plain = bench.picture(files[SD], 3)
    cutter = saved(path / "u2net.safetensors", halves=False)
    id = bench.submit(files[SD], (3,), removebackground=True, files={"cutter": cutter})
    bench.finish()
    (result,) = [event.result for event in bench.events(id) if isinstance(event, ImageDone)]
    assert isinstance(result, Pixels)
    assert result.mode == "RGBA"
    levels = torch.tensor(list(result.data)).reshape(64, 64, 4)
    assert torch.equal(levels[..., :3].float(), plain)
    assert int(levels[..., 3].min()) < 30 < 200 < int(levels[..., 3].max())
    assert torch.equal(bench.picture(files[SD], 3, removebackground=False), plain)


def test_what_is_even_stays_as_it_is() -> None:
    cutter = Cutter(lambda image: torch.full_like(image[:, :1], 0.25), 8, centred=True)
    assert torch.allclose(cutter(torch.rand(1, 3, 16, 16)), torch.tensor(0.25))


def test_missing_and_wrong_files_are_named(path: Path) -> None:
    asked = GenerationInput({"removebackground": True})
    empty, full = Shelf(), Shelf("rembg/isnet-general-use.onnx", "rembg/u2netp.safetensors")
    with pytest.raises(BadInput, match=r"u2net\.safetensors.*folder 'rembg'"):
        cutter_file.find(asked, None, empty)  # type: ignore[arg-type]
    found = cutter_file.find(asked, None, full).files  # type: ignore[arg-type]
    assert found["cutter"].name == "rembg/u2netp.safetensors"
    save_file({"a": torch.zeros(1)}, path / "x.safetensors")
    with pytest.raises(BadInput, match="neither a U2-Net"):
        load(ModelFile(name="x", path=path / "x.safetensors", family=None, stamp="1"), choose_device(0, "auto"))
