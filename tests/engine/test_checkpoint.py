"""Number formats of model files: half and 8-bit floats, scaled ones, GGUF; all come out as what they stand for."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.catalog.headers import read_header
from swarm.engine.device import choose_device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.start import families
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, model
from tests.support.tiny.flux import DEV

pytestmark = pytest.mark.torch
ASKED: dict[str, Any] = {"prompt": "a red fox", "steps": 3, "cfgscale": 1.0}


def gguf_file(path: Path, tensors: dict[str, torch.Tensor], kind: GGMLQuantizationType) -> Path:
    """The matrices in `kind`, everything else as 32-bit floats."""
    writer = GGUFWriter(path, "flux")
    for name, tensor in tensors.items():
        plain = tensor.float().numpy()
        fits = tensor.ndim == 2 and tensor.shape[1] % 32 == 0 and kind not in (GGMLQuantizationType.F32,)
        stored = quantize(plain, kind) if fits else plain
        writer.add_tensor(name, stored, raw_dtype=kind if fits else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def scaled(tensors: dict[str, torch.Tensor], ending: str) -> dict[str, torch.Tensor]:
    """Matrices as 8-bit floats with a scale beside each, as the makers of such files do it."""
    found: dict[str, torch.Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, tensor in tensors.items():
        if tensor.ndim != 2:
            found[name] = tensor
            continue
        scale = tensor.float().abs().max() / 448
        found[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
        found[name.removesuffix(".weight") + ending] = scale
        found[name.removesuffix(".weight") + ".scale_input"] = torch.tensor(1.0)
    return found


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (GGMLQuantizationType.F16, 1.0),
        (GGMLQuantizationType.BF16, 12.0),
        (GGMLQuantizationType.Q8_0, 12.0),
        (GGMLQuantizationType.Q5_0, 90.0),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_gguf_transformer_makes_nearly_the_same_picture(
    bench: Bench, tmp_path: Path, kind: GGMLQuantizationType, most: float
) -> None:
    beside = companions(DEV, tmp_path)
    plain = model(DEV, DEV.make(tmp_path, layout="bare"))
    packed = model(DEV, gguf_file(tmp_path / f"{kind.name}.gguf", DEV.original(), kind))
    ids = [bench.submit(file, (3,), **{**ASKED, "parts": beside}) for file in (plain, packed)]
    bench.finish()
    assert (bench.pixels(ids[0]) - bench.pixels(ids[1])).abs().max() <= most


@pytest.mark.parametrize("ending", [".scale_weight", ".weight_scale"])
def test_scaled_eight_bit_floats_get_their_scale_back(tmp_path: Path, ending: str) -> None:
    original = DEV.original()
    save_file(scaled(original, ending), tmp_path / "scaled.safetensors")
    found = Checkpoint(tmp_path / "scaled.safetensors")
    assert set(found.shapes) == set(original)
    for name, tensor in original.items():
        read = found.tensor(name).float()
        assert torch.allclose(read, tensor.float(), rtol=0.07, atol=float(tensor.abs().max()) / 200), name


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float8_e4m3fn])
def test_every_float_format_loads(tmp_path: Path, kind: torch.dtype) -> None:
    tensors = {name: tensor.to(kind) for name, tensor in DEV.original().items()}
    save_file(tensors, tmp_path / "flux.safetensors")
    parts = companions(DEV, tmp_path)
    found = families().load(model(DEV, tmp_path / "flux.safetensors"), choose_device(0, "auto"), parts)
    assert {weight.dtype for weight in found.denoiser.parameters()} == {torch.float32}
    wanted = tensors["img_in.weight"].float()
    assert torch.equal(dict(found.denoiser.named_parameters())["x_embedder.weight"], wanted)


def test_scales_of_rows(tmp_path: Path) -> None:
    weight, scale = torch.randn(4, 6).to(torch.float8_e4m3fn), torch.rand(4)
    save_file({"x.weight": weight, "x.weight_scale": scale}, tmp_path / "rows.safetensors")
    assert torch.equal(Checkpoint(tmp_path / "rows.safetensors").tensor("x.weight"), weight.float() * scale[:, None])


def test_a_folded_tensor_gets_its_shape_back(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "folded.gguf", "sd")
    writer.add_array("comfy.gguf.orig_shape.conv.weight", [4, 2, 2, 2])
    writer.add_tensor("conv.weight", np.arange(32, dtype=np.float32).reshape(1, 32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = Checkpoint(tmp_path / "folded.gguf")
    assert torch.equal(found.tensor("conv.weight"), torch.arange(32.0).reshape(4, 2, 2, 2))


@pytest.mark.parametrize("content", [b"GGUF", b"GGUF" + struct.pack("<IQQ", 3, 5, 5), b"GGUF" + b"\xff" * 200])
def test_a_damaged_gguf_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.gguf"):
        Checkpoint(tmp_path / "bad.gguf")


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path, length: int) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).ljust(length).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + header + struct.pack("<f", 2.5))
    assert Checkpoint(path).tensor("x").item() == 2.5
    assert list(read_header(path).tensors) == ["x"]
