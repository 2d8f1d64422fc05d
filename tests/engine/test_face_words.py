"""IP-Adapters for faces: faces found, turned and named by tiny networks, their words by the published formulas."""

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
from torch.nn.functional import avg_pool2d, gelu, layer_norm, normalize, scaled_dot_product_attention
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from swarm.base.errors import BadInput
from swarm.engine.control.face_words import NO_FACE, FaceWordMaker
from swarm.engine.control.image_encoders import black, load_image_encoder, prepared, seen
from swarm.engine.control.image_words import cross_attention
from swarm.engine.device import choose_device
from swarm.engine.networks.faces import TEMPLATE, cut_out, load_faces, load_identity
from swarm.features.face_files import LORA_FILE
from swarm.features.ip_adapter import (
    ADAPTER_FILE,
    ENCODER_FILE,
    FACE_ID,
    FACE_ID_PLUS,
    FACE_ID_PLUS_2,
    FACE_ID_PORTRAIT,
    FOLDER,
    ip_adapter_files,
)
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_ip_adapter import Shelf
from tests.support.onnx_files import Node, write_onnx
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
SIDE, WIDTH, WHO = 320, 32, 24
OFFSETS = np.array([[-2, -2], [2, -2], [0, 0], [-1.5, 2], [1.5, 2]], np.float32)
"""Where the finder says that the five points are, from the white square's corner on, in squares of 8."""


def file_of(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def finder(path: Path) -> ModelFile:
    """Takes a white square of 8 by 8 pixels to be a face; sees none in squares of more than 330."""
    nodes = [
        Node(op="Shape", inputs=("images",), output="shape"),
        Node(op="Gather", inputs=("shape", "two"), output="side"),
        Node(op="Less", inputs=("side", "most"), output="small"),
        Node(op="Cast", inputs=("small",), output="seen", attributes={"to": 1}),
        Node(op="ReduceMean", inputs=("images",), output="gray", attributes={"axes": (1,), "keepdims": 1}),
    ]
    for step in (8, 16, 32):
        square = {"kernel_shape": (step, step), "strides": (step, step)}
        nodes += [
            Node(op="AveragePool", inputs=("gray",), output=f"pooled {step}", attributes=square),
            Node(op="Mul", inputs=(f"pooled {step}", "seen"), output=f"sure {step}"),
            Node(op="Reshape", inputs=(f"sure {step}", "rows"), output=f"one {step}"),
            Node(op="Mul", inputs=(f"one {step}", "first"), output=f"two {step}"),
            Node(op="Reshape", inputs=(f"two {step}", "rows"), output=f"score_{step}"),
            Node(op="Mul", inputs=(f"score_{step}", "zeros4"), output=f"bbox_{step}"),
            Node(op="Mul", inputs=(f"score_{step}", "zeros10"), output=f"nothing {step}"),
            Node(op="Add", inputs=(f"nothing {step}", "offsets"), output=f"kps_{step}"),
        ]
    constants = {
        "two": np.array(2), "most": np.array(330), "rows": np.array([-1, 1]),
        # Of the two answers for each place, the second is the sure one.
        "first": np.array([[0.5, 1.0]], np.float32),
        "zeros4": np.zeros((1, 4), np.float32), "zeros10": np.zeros((1, 10), np.float32),
        "offsets": OFFSETS.reshape(1, 10),
    }  # fmt: skip
    kinds = (("score", 1), ("bbox", 4), ("kps", 10))
    outputs = {f"{name}_{step}": (-1, width) for name, width in kinds for step in (8, 16, 32)}
    return file_of(write_onnx(path, entry=(1, 3, -1, -1), nodes=nodes, constants=constants, outputs=outputs))


def knower(path: Path, weights: np.ndarray) -> ModelFile:
    """Tells faces apart by 16 squares in three colours."""
    nodes = [
        Node(
            op="AveragePool", inputs=("images",), output="pooled",
            attributes={"kernel_shape": (28, 28), "strides": (28, 28)},
        ),
        Node(op="Reshape", inputs=("pooled", "row"), output="flat"),
        Node(op="MatMul", inputs=("flat", "weights"), output="who"),
    ]  # fmt: skip
    constants = {"row": np.array([1, 48]), "weights": weights}
    return file_of(
        write_onnx(path, entry=(1, 3, 112, 112), nodes=nodes, constants=constants, outputs={"who": (1, WHO)})
    )


def face_image(left: int = 160, top: int = 144, seed: int = 1) -> torch.Tensor:
    """Dark noise with a white square: (1, 3, 320, 320)."""
    levels = torch.randint(0, 90, (1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    levels[..., top : top + 8, left : left + 8] = 255
    return levels / 255.0


def picture_of(image: torch.Tensor) -> Picture:
    levels = (image[0].permute(1, 2, 0) * 255.0).round().numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


POINTS = torch.tensor([160.0, 144.0]) + torch.from_numpy(OFFSETS) * 8


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    folder = tmp_path_factory.mktemp("faces")
    weights = np.random.default_rng(3).standard_normal((48, WHO)).astype(np.float32)
    return {"faces": finder(folder / "det_10g.onnx"), "identity": knower(folder / "w600k_r50.onnx", weights)}


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


def proj_shapes(tokens: int) -> dict[str, tuple[int, ...]]:
    first, second = {"proj.0.weight": (2 * WHO, WHO)}, {"proj.2.weight": (tokens * WIDTH, 2 * WHO)}
    return {
        **first, "proj.0.bias": (2 * WHO,), **second, "proj.2.bias": (tokens * WIDTH,),
        "norm.weight": (WIDTH,), "norm.bias": (WIDTH,),
    }  # fmt: skip


def resampler_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"proj_in.weight": (WIDTH, 32), "proj_in.bias": (WIDTH,)}
    shapes |= {"proj_out.weight": (WIDTH, WIDTH), "proj_out.bias": (WIDTH,)}
    shapes |= {"norm_out.weight": (WIDTH,), "norm_out.bias": (WIDTH,)}
    for layer in range(4):
        of = f"layers.{layer}"
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes |= {f"{of}.{norm}.weight": (WIDTH,), f"{of}.{norm}.bias": (WIDTH,)}
        shapes |= {f"{of}.0.to_q.weight": (64, WIDTH), f"{of}.0.to_kv.weight": (128, WIDTH)}
        shapes |= {f"{of}.0.to_out.weight": (WIDTH, 64)}
        shapes |= {f"{of}.1.1.weight": (4 * WIDTH, WIDTH), f"{of}.1.3.weight": (WIDTH, 4 * WIDTH)}
    return {f"perceiver_resampler.{name}": shape for name, shape in shapes.items()}


def adapter(unet: Any, path: Path, *, tokens: int = 4, sees: bool = False) -> ModelFile:
    """In h94's layout, with the LoRA that those files carry besides."""
    generator = torch.Generator().manual_seed(4)
    shapes = proj_shapes(tokens) | (resampler_shapes() if sees else {})
    tensors = {f"image_proj.{name}": torch.randn(shape, generator=generator) * 0.5 for name, shape in shapes.items()}
    tensors["ip_adapter.0.to_q_lora.down.weight"] = torch.zeros(2, 2)
    for number, layer in enumerate(cross_attention(unet)):
        for which in ("to_k_ip", "to_v_ip"):
            shape = layer.to_q.out_features, WIDTH
            tensors[f"ip_adapter.{2 * number + 1}.{which}.weight"] = torch.randn(shape, generator=generator)
    save_file(tensors, path)
    return file_of(path)


@pytest.fixture(scope="module")
def adapters(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    folder, unet = tmp_path_factory.mktemp("adapters"), tiny[SD].unet
    return {
        FACE_ID: adapter(unet, folder / "ip-adapter-faceid_sd15.safetensors"),
        FACE_ID_PLUS_2: adapter(unet, folder / "ip-adapter-faceid-plusv2_sd15.safetensors", sees=True),
        FACE_ID_PORTRAIT: adapter(unet, folder / "ip-adapter-faceid-portrait-v11_sd15.safetensors", tokens=16),
    }


def test_the_surest_face_is_found_where_smaller_squares_show_it(nets: Mapping[str, ModelFile]) -> None:
    faces = load_faces(nets["faces"], choose_device(0, "auto"))
    found = faces(face_image())
    assert found is not None
    assert torch.allclose(found, POINTS)
    # Half as high, it fills the upper half of the square; twice as large, it is seen at half its size.
    wide = faces(face_image()[..., :160, :])
    assert wide is not None and torch.allclose(wide, POINTS)
    large = faces(face_image().repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert large is not None and torch.allclose(large, POINTS * 2)
    assert faces(face_image() * 0.3) is None


@pytest.mark.parametrize(("side", "left"), [(112, 0), (224, 0), (256, 16)])
def test_a_face_is_cut_out_as_the_template_lies(side: int, left: int) -> None:
    # Points that lie as the template, at half its size, from (30, 40) on.
    points = torch.tensor(TEMPLATE) / 2 + torch.tensor([30.0, 40.0])
    image = torch.arange(200).expand(1, 3, 200, 200) / 255.0
    across = cut_out(image, points, side)[0, 0] * 255.0
    down = cut_out(image.transpose(2, 3), points, side)[0, 0] * 255.0
    step = 2 * (2 if side > 112 else 1)
    places = torch.arange(0, side - left, step)
    assert torch.allclose(across[side // 2, left + places], 30.0 + places / step)
    assert torch.allclose(down[places, side // 2], 40.0 + places / step)


def test_a_face_is_turned_upright_and_the_rest_is_black() -> None:
    upright = torch.tensor(TEMPLATE) + torch.tensor([40.0, 40.0])
    image = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255.0
    expected = image[..., 40:152, 40:152]
    assert torch.allclose(cut_out(image, upright, 112), expected)
    # A quarter turn to the right takes (x, y) of 200 by 200 pixels to (199 - y, x).
    turned = torch.stack([199 - upright[:, 1], upright[:, 0]], dim=1)
    assert torch.allclose(cut_out(image.rot90(-1, (2, 3)), turned, 112), expected, atol=1.1 / 255)
    outside = cut_out(torch.ones(1, 3, 50, 50), upright, 112)
    assert outside[..., 20:, 20:].max() == 0 and outside[..., :9, :9].min() == 1


def who(nets: Mapping[str, ModelFile], images: list[torch.Tensor], points: list[torch.Tensor]) -> torch.Tensor:
    """Whose faces they are, by the network's own formula."""
    weights = torch.from_numpy(np.random.default_rng(3).standard_normal((48, WHO)).astype(np.float32))
    cut = torch.cat([cut_out(image, point, 112) for image, point in zip(images, points, strict=True)])
    return normalize(avg_pool2d((cut * 255.0 - 127.5) / 127.5, 28).flatten(1) @ weights)


def projected(state: Mapping[str, torch.Tensor], of: torch.Tensor, tokens: int) -> torch.Tensor:
    inner = gelu(of @ state["proj.0.weight"].T + state["proj.0.bias"])
    made = (inner @ state["proj.2.weight"].T + state["proj.2.bias"]).reshape(-1, tokens, WIDTH)
    return layer_norm(made, (WIDTH,), state["norm.weight"], state["norm.bias"])


def looked_at(state: Mapping[str, torch.Tensor], words: torch.Tensor, sight: torch.Tensor) -> torch.Tensor:
    """The published resampler, in plain arithmetic."""

    def at(name: str) -> torch.Tensor:
        return state[f"perceiver_resampler.{name}"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return layer_norm(x, (WIDTH,), at(f"{name}.weight"), at(f"{name}.bias"))

    sight = sight @ at("proj_in.weight").T + at("proj_in.bias")
    for layer in range(4):
        of = f"layers.{layer}"
        known = norm(words, f"{of}.0.norm2")
        keys, values = (torch.cat([norm(sight, f"{of}.0.norm1"), known], 1) @ at(f"{of}.0.to_kv.weight").T).chunk(2, -1)
        found = scaled_dot_product_attention(known @ at(f"{of}.0.to_q.weight").T, keys, values)
        words = found @ at(f"{of}.0.to_out.weight").T + words
        words = gelu(norm(words, f"{of}.1.0") @ at(f"{of}.1.1.weight").T) @ at(f"{of}.1.3.weight").T + words
    made = words @ at("proj_out.weight").T + at("proj_out.bias")
    return layer_norm(made, (WIDTH,), at("norm_out.weight"), at("norm_out.bias"))


def state_of(file: ModelFile) -> dict[str, torch.Tensor]:
    found = load_file(file.path).items()
    return {name.removeprefix("image_proj."): tensor for name, tensor in found if name.startswith("image_proj.")}


@pytest.mark.parametrize(
    ("preset", "tokens", "shortcut"),
    [(FACE_ID, 4, None), (FACE_ID_PORTRAIT, 16, None), (FACE_ID_PLUS_2, 4, 1.6), (FACE_ID_PLUS_2, 4, None)],
)
def test_words_of_faces_are_those_of_the_formulas(
    tiny: Mapping[str, Tiny],
    nets: Mapping[str, ModelFile],
    adapters: Mapping[str, ModelFile],
    eyes: ModelFile,
    preset: str,
    tokens: int,
    shortcut: float | None,
) -> None:
    device = choose_device(0, "float32")
    images = [face_image(), face_image(80, 200, seed=2)]
    points = [POINTS, POINTS + torch.tensor([-80.0, 56.0])]
    pictures = [picture_of(image) for image in images]
    state, sees = state_of(adapters[preset]), preset == FACE_ID_PLUS_2
    loaded = load_faces(nets["faces"], device), load_identity(nets["identity"], device)
    some, none = FaceWordMaker().words(
        adapters[preset], eyes if sees else None, loaded, pictures, shortcut, tiny[SD].unet, device
    )
    found = who(nets, images, points)
    expected = [projected(state, found, tokens), projected(state, torch.zeros_like(found), tokens)]
    if sees:
        model = load_image_encoder(eyes, device)
        cut = [picture_of(cut_out(image, point, 224)) for image, point in zip(images, points, strict=True)]
        shown = prepared(cut, 32), black(32).repeat(2, 1, 1, 1)
        looked = [looked_at(state, each, seen(model, one).places) for each, one in zip(expected, shown, strict=True)]
        expected = looked if shortcut is None else [a + shortcut * b for a, b in zip(expected, looked, strict=True)]
    assert some.shape == none.shape == (1, 2 * tokens, WIDTH)
    for made, wanted in zip((some, none), expected, strict=True):
        assert torch.allclose(made, wanted.reshape(1, -1, WIDTH), atol=1e-4)
    assert (some - none).abs().max() > 0.1


def lora(path: Path) -> ModelFile:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_q"
    generator = torch.Generator().manual_seed(1)
    tensors = {
        f"{name}.lora_down.weight": torch.randn(2, 32, generator=generator),
        f"{name}.lora_up.weight": torch.randn(32, 2, generator=generator),
    }
    save_file(tensors, path)
    return file_of(path)


def test_faces_are_drawn_with_their_lora(
    bench: Bench,
    files: Mapping[str, ModelFile],
    nets: Mapping[str, ModelFile],
    adapters: Mapping[str, ModelFile],
    eyes: ModelFile,
    path: Path,
) -> None:
    wears = lora(path / "lora.safetensors")

    def values(preset: str, **more: Any) -> dict[str, Any]:
        given = {ADAPTER_FILE: adapters[preset], ENCODER_FILE: eyes, LORA_FILE: wears, **nets}
        return {"promptimages": (picture_of(face_image()),), "useipadapter": preset, "files": given, **more}

    plain = bench.picture(files[SD], 3)
    first = bench.picture(files[SD], 3, **values(FACE_ID))
    bare = values(FACE_ID)
    del bare["files"][LORA_FILE]
    others = [
        bench.picture(files[SD], 3, **each)
        for each in (bare, values(FACE_ID_PORTRAIT), values(FACE_ID_PLUS_2), values(FACE_ID, ipadapterweight=0.4))
    ]
    assert all((made - first).abs().max() > 1.0 for made in (plain, *others))
    assert torch.equal(bench.picture(files[SD], 3, **values(FACE_ID, ipadapterweight=0.0)), plain)
    ids = [bench.submit(files[SD], (3,), **each) for each in (values(FACE_ID), {}, values(FACE_ID_PLUS_2))]
    bench.finish()
    for id, expected in zip(ids, (first, plain, others[2]), strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    nobody = bench.submit(files[SD], (3,), **{**values(FACE_ID), "promptimages": (picture_of(face_image() * 0.3),)})
    bench.finish()
    assert bench.failure(nobody).sentence == NO_FACE
    # Nothing is left behind.
    assert torch.equal(bench.picture(files[SD], 3), plain)


def test_files_that_are_something_else_are_refused(
    tiny: Mapping[str, Tiny], nets: Mapping[str, ModelFile], eyes: ModelFile, path: Path
) -> None:
    device = choose_device(0, "float32")
    with pytest.raises(BadInput, match=r"'w600k_r50\.onnx' is no SCRFD network"):
        load_faces(nets["identity"], device)
    with pytest.raises(BadInput, match=r"'det_10g\.onnx' is no ArcFace network"):
        load_identity(nets["faces"], device)
    loaded = load_faces(nets["faces"], device), load_identity(nets["identity"], device)
    pictures, unet = [picture_of(face_image())], tiny[SD].unet
    other = load_file(adapter(unet, path / "a.safetensors").path)
    other = {name: tensor for name, tensor in other.items() if "proj.2" not in name}
    save_file(other, path / "b.safetensors")
    with pytest.raises(BadInput, match=r"'b\.safetensors' is no IP-Adapter for faces"):
        FaceWordMaker().words(file_of(path / "b.safetensors"), None, loaded, pictures, None, unet, device)


def test_missing_files_are_named(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    family = bench.models.loaded(files[SD], {}).components.architecture
    large = bench.models.loaded(files[XL], {}).components.architecture
    own = f"{FOLDER}/ip-adapter-faceid-plus_sd15.safetensors"
    finder, knower = (f"insightface/models/buffalo_l/{name}.onnx" for name in ("det_10g", "w600k_r50"))
    lora, eyes = "LoRA/ip-adapter-faceid-plus_sd15_lora", "ClipVision/CLIP-ViT-H-14-laion2B-s32B-b79K"

    def asked(shelf: Any, preset: str = FACE_ID_PLUS) -> Mapping[str, ModelFile]:
        input = GenerationInput({"promptimages": (picture_of(face_image()),), "useipadapter": preset})
        return ip_adapter_files.find(input, files[SD], shelf).files

    with pytest.raises(BadInput, match=r"h94/IP-Adapter-FaceID, whose \.bin the route Pickle2SafeTensor converts"):
        asked(Shelf(family))
    with pytest.raises(BadInput, match=r"into the models folder as 'insightface/models/buffalo_l/det_10g\.onnx'"):
        asked(Shelf(family, own))
    with pytest.raises(BadInput, match=r"'w600k_r50\.onnx' of insightface's buffalo_l"):
        asked(Shelf(family, own, finder))
    with pytest.raises(BadInput, match=r"the LoRA 'ip-adapter-faceid-plus_sd15_lora\.safetensors'"):
        asked(Shelf(family, own, finder, knower))
    with pytest.raises(BadInput, match="needs the image encoder"):
        asked(Shelf(family, own, finder, knower, lora))
    found = asked(Shelf(family, own, finder, knower, lora, eyes))
    assert set(found) == {ADAPTER_FILE, ENCODER_FILE, LORA_FILE, "faces", "identity"}
    portrait = f"{FOLDER}/ip-adapter-faceid-portrait_sdxl.safetensors"
    assert set(asked(Shelf(large, portrait, finder, knower), FACE_ID_PORTRAIT)) == {ADAPTER_FILE, "faces", "identity"}
    with pytest.raises(BadInput, match=r"There is no IP-Adapter 'FACEID PLUS - SD1\.5 only'"):
        asked(Shelf(large))
