"""The files that ship: their headers, their names, their size. Reads headers only, needs no torch."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

STARTER = Path(__file__).parents[2] / "assets" / "starter"


def header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        content: dict[str, Any] = json.loads(file.read(length))
    return content


def test_everything_together_is_small() -> None:
    total = sum(path.stat().st_size for path in STARTER.rglob("*") if path.is_file())
    assert total <= 40_000_000


def test_the_checkpoint_has_the_original_layout() -> None:
    names = header(STARTER / "postcards.safetensors").keys() - {"__metadata__"}
    prefixes = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model.")
    assert all(name.startswith(prefixes) for name in names)
    for known in (
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.out.2.bias",
        "first_stage_model.encoder.mid.attn_1.q.weight",
        "first_stage_model.decoder.up.0.block.0.conv1.weight",
        "first_stage_model.post_quant_conv.weight",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.bias",
    ):
        assert known in names


def test_the_checkpoint_is_in_half_precision_with_the_full_vocabulary() -> None:
    content = header(STARTER / "postcards.safetensors")
    table = content["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"]
    assert {entry["dtype"] for name, entry in content.items() if name != "__metadata__"} == {"F16"}
    assert table["shape"][0] == 49408


@pytest.mark.parametrize(
    ("file", "architecture"),
    [
        ("postcards.safetensors", "stable-diffusion-v1"),
        ("postcards-pencil.safetensors", "stable-diffusion-v1/lora"),
    ],
)
def test_the_header_tells_what_the_file_is(file: str, architecture: str) -> None:
    metadata = header(STARTER / file)["__metadata__"]
    assert metadata["modelspec.architecture"] == architecture
    assert metadata["modelspec.license"] == "MIT"
    assert metadata["modelspec.resolution"] == "256x256"
    for known in ("title", "author", "description", "usage_hint"):
        assert metadata[f"modelspec.{known}"]


def test_the_header_carries_the_sizes_of_the_networks() -> None:
    content = header(STARTER / "postcards.safetensors")
    config = json.loads(content["__metadata__"]["swarm.config"])
    first = content["model.diffusion_model.input_blocks.0.0.weight"]["shape"]
    assert config.keys() == {"unet", "vae", "text_encoder", "scheduler"}
    assert config["unet"]["block_out_channels"][0] == first[0]
    assert config["vae"]["scaling_factor"] == 0.18215
    assert config["scheduler"]["prediction_type"] == "epsilon"


def test_the_lora_is_tiny_and_in_kohya_format() -> None:
    path = STARTER / "postcards-pencil.safetensors"
    names = header(path).keys() - {"__metadata__"}
    stems = {name.partition(".")[0] for name in names}
    assert path.stat().st_size <= 2_000_000
    assert all(stem.startswith("lora_unet_") for stem in stems)
    assert names == {f"{stem}.{part}" for stem in stems for part in ("lora_down.weight", "lora_up.weight", "alpha")}


def test_the_folder_has_what_an_offline_loader_needs() -> None:
    for name in (
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "vae/config.json",
    ):
        assert (STARTER / "diffusers" / name).is_file()
    assert (STARTER / "postcards.jpg").is_file()
    assert (STARTER / "LICENSE").is_file()
