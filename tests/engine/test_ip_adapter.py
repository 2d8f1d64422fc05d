"""IP-Adapters: the library's own numbers, rows with and without in one engine, everything as it was afterwards."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from swarm.base.errors import BadInput
from swarm.engine.adapters.unet import UnetDenoiser
from swarm.engine.components import Row
from swarm.engine.control.image_words import Hearing, ImageWordMaker, attention_places, cross_attention
from swarm.features.ip_adapter import (
    ADAPTER_FILE,
    BAD_RANGE,
    ENCODER_FILE,
    FOLDER,
    PLUS,
    STANDARD,
    VIT_G,
    ImageWords,
    ip_adapter_files,
)
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning
from swarm.media.image import Picture
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


def file_of(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def adapter(unet: Any, path: Path, seed: int = 4) -> ModelFile:
    """A standard adapter in h94's layout, with loud layers."""
    torch.manual_seed(seed)
    width = unet.config.cross_attention_dim
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * width, 24),
        "image_proj.proj.bias": torch.randn(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    for number, layer in enumerate(cross_attention(unet)):
        for which in ("to_k_ip", "to_v_ip"):
            shape = layer.to_q.out_features, width
            tensors[f"ip_adapter.{2 * number + 1}.{which}.weight"] = torch.randn(shape)
    save_file(tensors, path)
    return file_of(path)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    torch.manual_seed(2)
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=16, image_size=32,
            patch_size=8, projection_dim=24, hidden_act="quick_gelu",
        )
    )  # fmt: skip
    path = tmp_path_factory.mktemp("eyes") / "eyes.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return file_of(path)


@pytest.fixture(scope="module")
def adapters(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    folder = tmp_path_factory.mktemp("adapters")
    made = {family: adapter(tiny[family].unet, folder / f"{family}.safetensors") for family in (SD, XL)}
    return made | {"other": adapter(tiny[SD].unet, folder / "other.safetensors", 9)}


def picture(seed: int = 5) -> Picture:
    levels = np.random.default_rng(seed).integers(0, 255, (48, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def seeing(file: ModelFile, eyes: ModelFile, **more: Any) -> dict[str, Any]:
    files = {ADAPTER_FILE: file, ENCODER_FILE: eyes}
    return {"promptimages": (picture(),), "useipadapter": STANDARD, "files": files, **more}


def test_layers_answer_as_the_librarys(
    bench: Bench, files: Mapping[str, ModelFile], tiny: Mapping[str, Tiny], adapters: Mapping[str, ModelFile]
) -> None:
    denoiser = bench.models.loaded(files[SD], {}).denoiser
    assert isinstance(denoiser, UnetDenoiser)
    prompt, x = torch.randn(1, 77, 32), torch.randn(1, 4, 8, 8)
    tokens = torch.randn(2, 4, 32)
    rows = [
        Row(
            x=x,
            timestep=400.0,
            sigma=1.0,
            conditioning=Conditioning(
                tokens=prompt,
                extra={"image_words": ImageWords(file=adapters[SD], tokens=tokens[number : number + 1], weight=weight)},
            ),
        )
        for number, weight in enumerate((0.5, 1.5))
    ]
    ours = denoiser(rows)
    assert not any(isinstance(layer.processor, Hearing) for layer in cross_attention(denoiser._unet))

    state: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(adapters[SD].path).items():
        part, _, rest = name.partition(".")
        state[part][rest] = tensor
    reference = type(tiny[SD].unet).from_config(tiny[SD].unet.config)
    reference.load_state_dict(tiny[SD].unet.state_dict())
    reference._load_ip_adapter_weights([state])
    reference.encoder_hid_proj.image_projection_layers[0] = torch.nn.Identity()
    for number, weight in enumerate((0.5, 1.5)):
        for processor in reference.attn_processors.values():
            if hasattr(processor, "scale"):
                processor.scale = [weight]
        with torch.inference_mode():
            told = {"image_embeds": [tokens[number : number + 1]]}
            expected = reference.eval()(x, torch.tensor([400.0]), prompt, added_cond_kwargs=told).sample
        assert (ours[number] - expected[0]).abs().max() < 1e-4


@pytest.mark.parametrize("family", [SD, XL])
def test_pictures_hear_pictures_alone_and_together(
    bench: Bench, files: Mapping[str, ModelFile], adapters: Mapping[str, ModelFile], eyes: ModelFile, family: str
) -> None:
    plain = bench.picture(files[family], 3)
    variants = [
        seeing(adapters[family], eyes),
        seeing(adapters[family], eyes, promptimages=(picture(8), picture(9)), ipadapterweight=0.5),
        seeing(adapters[family], eyes, ipadapterstart=0.3, ipadapterweight=3.0),
        {},
    ]
    alone = [bench.picture(files[family], 3, **values) for values in variants]
    assert all((made - plain).abs().max() > 2.0 for made in alone[:3])
    assert (alone[0] - alone[2]).abs().max() > 2.0
    ids = [bench.submit(files[family], (3,), **values) for values in variants]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    still = bench.picture(files[family], 3, **seeing(adapters[family], eyes, ipadapterweight=0.0))
    assert torch.equal(still, plain)


def resampler(path: Path, unet: Any) -> ModelFile:
    """An adapter of the Plus kind in h94's layout: a resampler that reads the encoder's places."""
    plain, wide, width = adapter(unet, path), 64, unet.config.cross_attention_dim
    state = {name: tensor for name, tensor in load_file(plain.path).items() if name.startswith("ip_adapter")}
    sizes: dict[str, tuple[int, ...]] = {
        "latents": (1, 6, wide), "proj_in.weight": (wide, 32), "proj_in.bias": (wide,),
        "proj_out.weight": (width, wide), "proj_out.bias": (width,),
        "norm_out.weight": (width,), "norm_out.bias": (width,),
    }  # fmt: skip
    for layer in ("layers.0.", "layers.1.", "layers.2.", "layers.3."):
        sizes |= {
            f"{layer}{norm}.{end}": (wide,) for norm in ("0.norm1", "0.norm2", "1.0") for end in ("weight", "bias")
        }
        sizes |= {f"{layer}0.to_q.weight": (wide, wide), f"{layer}0.to_kv.weight": (2 * wide, wide)}
        sizes |= {f"{layer}0.to_out.weight": (wide, wide)}
        sizes |= {f"{layer}1.1.weight": (4 * wide, wide), f"{layer}1.3.weight": (wide, 4 * wide)}
    torch.manual_seed(6)
    state |= {f"image_proj.{name}": torch.randn(size) * 0.3 for name, size in sizes.items()}
    save_file(state, path)
    return file_of(path)


def test_plus_adapters_read_places(
    bench: Bench, files: Mapping[str, ModelFile], tiny: Mapping[str, Tiny], eyes: ModelFile, path: Path
) -> None:
    plus = resampler(path / "plus.safetensors", tiny[SD].unet)
    first = bench.picture(files[SD], 3, **seeing(plus, eyes))
    assert (first - bench.picture(files[SD], 3)).abs().max() > 2.0
    assert not torch.equal(bench.picture(files[SD], 3, **seeing(plus, eyes, promptimages=(picture(9),))), first)
    unet: Any = bench.models.loaded(files[SD], {}).components.denoiser
    some, none = ImageWordMaker().words(plus, eyes, (picture(),), unet, bench.models.device)
    assert some.shape == none.shape == (1, 6, 32)


def test_different_adapters_do_not_share_calls(
    bench: Bench, files: Mapping[str, ModelFile], adapters: Mapping[str, ModelFile], eyes: ModelFile
) -> None:
    variants = [seeing(adapters[name], eyes) for name in (SD, "other")]
    first, second = (bench.picture(files[SD], 3, **values) for values in variants)
    assert (first - second).abs().max() > 2.0
    ids = [bench.submit(files[SD], (3,), **values) for values in variants]
    bench.finish()
    assert (bench.pixels(ids[0]) - first).abs().max() <= 1.0
    assert (bench.pixels(ids[1]) - second).abs().max() <= 1.0


def test_refusals(
    bench: Bench, files: Mapping[str, ModelFile], adapters: Mapping[str, ModelFile], eyes: ModelFile, path: Path
) -> None:
    def refused(family: str, values: dict[str, Any]) -> str:
        id = bench.submit(files[family], (3,), **values)
        bench.finish()
        return bench.failure(id).sentence

    assert "is for another kind of model" in refused(XL, seeing(adapters[SD], eyes))
    assert refused(SD, seeing(adapters[SD], eyes, ipadapterstart=0.5, ipadapterend=0.5)) == BAD_RANGE
    assert "holds no CLIP image encoder" in refused(SD, seeing(adapters[SD], adapters[SD]))


class Shelf:
    """Model files of a server that has `names`."""

    def __init__(self, family: Any, *names: str) -> None:
        self._family = family
        self._names = names

    def find(self, subtype: str, name: str) -> ModelFile | None:
        return self.beside(f"{subtype}/{name}")

    def beside(self, relative: str) -> ModelFile | None:
        found = ModelFile(name=relative, path=Path(relative), family=None, stamp="1")
        return found if relative in self._names else None

    def architecture(self, file: ModelFile) -> Any:
        return self._family


def test_missing_files_are_named(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    family = bench.models.loaded(files[SD], {}).components.architecture
    standard, eyes = f"{FOLDER}/ip-adapter_sd15.safetensors", "ClipVision/CLIP-ViT-H-14-laion2B-s32B-b79K"

    def asked(shelf: Any, preset: str = STANDARD) -> Any:
        input = GenerationInput({"promptimages": (picture(),), "useipadapter": preset})
        return ip_adapter_files.find(input, files[SD], shelf)

    with pytest.raises(BadInput, match=r"needs the file 'ip-adapter_sd15.safetensors' .* 'ipadapter'"):
        asked(Shelf(family))
    with pytest.raises(BadInput, match=r"'CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors' in the models folder 'clip_vis"):
        asked(Shelf(family, standard))
    assert set(asked(Shelf(family, standard, eyes)).files) == {ADAPTER_FILE, ENCODER_FILE}
    with pytest.raises(BadInput, match="ip-adapter_sd15_vit-G"):
        asked(Shelf(family, standard, eyes), VIT_G)
    with pytest.raises(BadInput, match="There is no IP-Adapter"):
        asked(Shelf(None, standard, eyes), PLUS)


def test_weight_types_say_where_pictures_are_heard(tiny: Mapping[str, Tiny]) -> None:
    def weights(kind: str, places: int) -> list[float]:
        words = ImageWords(file=file_of(Path("a")), tokens=torch.zeros(1, 1, 1), weight=2.0, kind=kind)
        return [round(words.weight_at(place, places), 4) for place in range(places)]

    assert weights("standard", 11) == [2.0] * 11
    eased = weights("prompt is more important", 11)
    assert eased[0] == 0.1
    assert eased == sorted(eased)
    assert 1.6 < eased[-1] < 2.0
    assert weights("style transfer", 11) == [2.0 if place == 6 else 0.0 for place in range(11)]
    assert [place for place, weight in enumerate(weights("style transfer", 16)) if not weight] == [4, 5, 6, 7, 8]
    places = attention_places(tiny[SD].unet)
    assert len(places) == len(cross_attention(tiny[SD].unet))
    assert sorted(set(places)) == list(range(16))
    assert places.index(6) == len(places) - 1, "the middle is numbered last by adapters, and passed between"


def test_pictures_of_every_weight_type_share_calls(
    bench: Bench, files: Mapping[str, ModelFile], adapters: Mapping[str, ModelFile], eyes: ModelFile
) -> None:
    kinds = "standard", "prompt is more important", "style transfer"
    wishes = [seeing(adapters[SD], eyes, ipadapterweighttype=kind) for kind in kinds]
    alone = [bench.picture(files[SD], 1, **each) for each in wishes]
    assert all((one - alone[0]).abs().max() > 1.0 for one in alone[1:])
    ids = [bench.submit(files[SD], (1,), **each) for each in wishes]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
