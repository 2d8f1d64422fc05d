"""T2I-Adapters: diffusers' own pictures, in every layout, alone and together, beside ControlNets, and the refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionAdapterPipeline, StableDiffusionXLAdapterPipeline
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.control.controls import check_control, load_control
from swarm.engine.control.picture_adapters import KEPT_PICTURES, Halved, PictureAdapter
from swarm.engine.device import choose_device
from swarm.engine.latents import seeded_noise
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Control
from swarm.media.image import Picture
from swarm.media.stretched import opened
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_controlnet import controlled, file_of, loud, picture
from tests.engine.test_oracle import plain
from tests.support.tiny.unet_controls import FULL, FULL_XL, LIGHT, original_adapter, picture_adapter
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
KINDS = {FULL: SD, LIGHT: SD, FULL_XL: XL}


@pytest.fixture(scope="module")
def adapters(tiny: Mapping[str, Tiny]) -> Mapping[str, Any]:
    return {kind: picture_adapter(tiny[family].unet, kind) for kind, family in KINDS.items()}


@pytest.fixture(scope="module")
def nets(
    adapters: Mapping[str, Any], tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, ModelFile]:
    folder = tmp_path_factory.mktemp("adapters")
    files = {}
    for kind, net in adapters.items():
        save_file(original_adapter(net), folder / f"{kind}.safetensors")
        files[kind] = file_of(folder / f"{kind}.safetensors")
    net = loud(ControlNetModel.from_unet(tiny[SD].unet))
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, folder / "net.safetensors")
    return {**files, "net": file_of(folder / "net.safetensors")}


class WithAdapter(Tiny):
    """A tiny model whose pipeline has an adapter."""

    adapter: Any

    def pipeline(self) -> Any:
        parts = dict(super().pipeline().components)
        if self.is_xl:
            pipe: Any = StableDiffusionXLAdapterPipeline(**parts, adapter=self.adapter)
            pipe.watermark = None
        else:
            del parts["image_encoder"]
            pipe = StableDiffusionAdapterPipeline(**parts, adapter=self.adapter, requires_safety_checker=False)
            # This one pipeline knows tensors at its end only by a way that is going out of use.
            scale = float(self.vae.config.scaling_factor)
            pipe.decode_latents = lambda x: (self.vae.decode(x / scale).sample / 2 + 0.5).clamp(0, 1)
        pipe.set_progress_bar_config(disable=True)
        return pipe


def shown(guide: Picture) -> torch.Tensor:
    """A picture as diffusers takes it: (1, 3, H, W), 0 to 1."""
    image = opened(guide, 64, 64)
    levels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(64, 64, 3)
    return levels.permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_the_librarys(
    bench: Bench,
    tiny: Mapping[str, Tiny],
    files: Mapping[str, ModelFile],
    adapters: Mapping[str, Any],
    nets: Mapping[str, ModelFile],
    kind: str,
) -> None:
    model = tiny[KINDS[kind]]
    oracle = WithAdapter(unet=model.unet, vae=model.vae, text=model.text)
    object.__setattr__(oracle, "adapter", adapters[kind])
    asked: dict[str, Any] = {"prompt": "a red fox", "negative_prompt": "blurry", "guidance_scale": 6.0}
    expected = plain(
        oracle, 5, seeded_noise(3, (4, 8, 8)), **asked, image=shown(picture()), adapter_conditioning_scale=0.8
    )
    ours: dict[str, Any] = {
        "prompt": "a red fox", "negativeprompt": "blurry", "steps": 5, "scheduler": "simple", "cfgscale": 6.0,
        "modelspecificenhancements": False,
    }  # fmt: skip
    found = bench.picture(files[KINDS[kind]], 3, **ours, **controlled(nets[kind], controlnetstrength=0.8))
    assert (found - expected).abs().max() <= 2.0
    assert (found - bench.picture(files[KINDS[kind]], 3, **ours)).abs().max() > 8.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_the_same_net(
    bench: Bench,
    tiny: Mapping[str, Tiny],
    adapters: Mapping[str, Any],
    nets: Mapping[str, ModelFile],
    path: Path,
    kind: str,
) -> None:
    unet, device = tiny[KINDS[kind]].unet, bench.models.device
    adapters[kind].save_pretrained(path / "folder")
    save_file(
        {name: value.contiguous() for name, value in adapters[kind].state_dict().items()}, path / "new.safetensors"
    )
    prefixed = {f"adapter.{name}": value for name, value in original_adapter(adapters[kind]).items()}
    save_file(prefixed, path / "prefixed.safetensors")
    hint = torch.rand(1, 3, 64, 64)
    expected = adapters[kind](hint)
    for file in (nets[kind], *map(file_of, (path / "folder", path / "new.safetensors", path / "prefixed.safetensors"))):
        check_control(file, unet)
        found = load_control(file, unet, device).levels([Control(file=file, hint=hint, strength=1.0)])
        assert len(found) == 4
        for level, wanted in zip(found, expected, strict=True):
            assert torch.allclose(level, wanted, atol=1e-5)


def test_pictures_follow_alone_together_and_in_slots(
    bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile]
) -> None:
    variants = [
        controlled(nets[FULL]),
        controlled(nets[FULL], controlnetstrength=0.4, controlnetimageinput=picture(9)),
        controlled(nets[FULL], controlnetstart=0.2),
        controlled(nets[LIGHT]),
        {},
    ]
    alone = [bench.picture(files[SD], 3, **values) for values in variants]
    ids = [bench.submit(files[SD], (3,), **values) for values in variants]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    assert all((alone[place] - alone[-1]).abs().max() > 2.0 for place in (0, 1, 3))
    assert (alone[0] - alone[2]).abs().max() > 2.0

    def two(first: ModelFile, one: float, second: ModelFile, other: float) -> torch.Tensor:
        values = controlled(first, controlnetstrength=one) | {
            "controlnettwomodel": second.name, "controlnettwostrength": other, "controlnettwopreprocessor": "None",
            "files": {"controlnetmodel": first, "controlnettwomodel": second},
        }  # fmt: skip
        made: torch.Tensor = bench.picture(files[SD], 3, **values)
        return made

    assert (two(nets[FULL], 0.5, nets[FULL], 0.5) - alone[0]).abs().max() <= 1.0
    mixed = two(nets["net"], 0.7, nets[FULL], 0.6)
    assert (mixed - two(nets[FULL], 0.6, nets["net"], 0.7)).abs().max() <= 1.0
    assert (mixed - bench.picture(files[SD], 3, **controlled(nets["net"], controlnetstrength=0.7))).abs().max() > 2.0
    assert (mixed - bench.picture(files[SD], 3, **controlled(nets[FULL], controlnetstrength=0.6))).abs().max() > 2.0


def test_a_picture_is_looked_at_once(bench: Bench, tiny: Mapping[str, Tiny], nets: Mapping[str, ModelFile]) -> None:
    net = load_control(nets[FULL], tiny[SD].unet, bench.models.device)
    assert isinstance(net, PictureAdapter)
    looks: list[int] = []
    net._net.register_forward_hook(lambda *_: looks.append(1))
    hints = [torch.rand(1, 3, 64, 64) for _ in range(KEPT_PICTURES + 1)]
    for _ in range(3):
        net.levels([Control(file=nets[FULL], hint=hints[0], strength=0.3)])
    assert len(looks) == 1
    for hint in hints:
        net.levels([Control(file=nets[FULL], hint=hint, strength=1.0)])
    net.levels([Control(file=nets[FULL], hint=hints[0], strength=1.0)])
    assert len(looks) == 1 + KEPT_PICTURES + 1


def test_gray_ones_see_gray_and_odd_sizes_are_filled_up(bench: Bench, tiny: Mapping[str, Tiny], path: Path) -> None:
    for kind, family in KINDS.items():
        net = picture_adapter(tiny[family].unet, kind, channels=1)
        save_file(original_adapter(net), path / f"{kind}.safetensors")
        file = file_of(path / f"{kind}.safetensors")
        found = load_control(file, tiny[family].unet, choose_device(0, "auto"))
        hint = torch.rand(1, 3, 72, 56)
        levels = found.levels([Control(file=file, hint=hint, strength=1.0)])
        sides = [(5, 4), (5, 4), (3, 2), (3, 2)] if kind == FULL_XL else [(9, 7), (5, 4), (3, 2), (2, 1)]
        assert [tuple(level.shape[-2:]) for level in levels] == sides
        gray = hint.mean(dim=1, keepdim=True).expand(1, 3, -1, -1)
        again = found.levels([Control(file=file, hint=gray, strength=1.0)])
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(levels, again, strict=True))


def test_odd_rows_are_halved_with_nothing_beside_their_ends() -> None:
    halved = Halved()(torch.tensor([4.0, 8.0, 12.0]).reshape(1, 1, 1, 3).expand(1, 1, 2, 3))
    assert halved.flatten().tolist() == [2.0, 10.0]


def test_early_files_have_larger_convolutions(tiny: Mapping[str, Tiny], path: Path) -> None:
    """Three by three where others have one, and one that halves."""
    tensors = original_adapter(picture_adapter(tiny[SD].unet, FULL))
    for name in [name for name in tensors if name.endswith(("block2.weight", "in_conv.weight"))]:
        tensors[name] = torch.nn.functional.pad(tensors[name], (1, 1, 1, 1)).contiguous()
    for block, width in ((2, 32), (4, 64), (6, 64)):
        # A quarter of each of four places: what is halved without weights.
        weight = torch.zeros(width, width, 3, 3)
        weight[range(width), range(width), 1:, 1:] = 0.25
        tensors[f"body.{block}.down_opt.op.weight"] = weight
        tensors[f"body.{block}.down_opt.op.bias"] = torch.zeros(width)
    save_file(tensors, path / "early.safetensors")
    save_file(original_adapter(picture_adapter(tiny[SD].unet, FULL)), path / "late.safetensors")
    hint, found = torch.rand(1, 3, 64, 64), []
    for name in ("early", "late"):
        file = file_of(path / f"{name}.safetensors")
        net = load_control(file, tiny[SD].unet, choose_device(0, "auto"))
        found.append(net.levels([Control(file=file, hint=hint, strength=1.0)]))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*found, strict=True))


def test_refusals(
    tiny: Mapping[str, Tiny], adapters: Mapping[str, Any], nets: Mapping[str, ModelFile], path: Path
) -> None:
    for kind, family in KINDS.items():
        with pytest.raises(BadInput, match="is for another kind of model"):
            check_control(nets[kind], tiny[XL if family == SD else SD].unet)
    adapters[FULL].save_pretrained(path / "folder")
    with pytest.raises(BadInput, match="is for another kind of model"):
        load_control(file_of(path / "folder"), tiny[XL].unet, choose_device(0, "auto"))
    tensors = original_adapter(adapters[FULL])
    for lacking in ("conv_in.weight", "body.3.block2.bias"):
        save_file({name: value for name, value in tensors.items() if name != lacking}, path / "part.safetensors")
        with pytest.raises(BadInput, match=r"T2I-Adapter 'part.safetensors' is damaged or incomplete"):
            load_control(file_of(path / "part.safetensors"), tiny[SD].unet, choose_device(0, "auto"))
    save_file({"style_embedding": torch.zeros(1, 8, 8)}, path / "style.safetensors")
    with pytest.raises(BadInput, match="is a T2I style adapter; this server cannot use it"):
        check_control(file_of(path / "style.safetensors"), tiny[SD].unet)
