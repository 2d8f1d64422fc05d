"""The tiny models are what they claim: diffusers' own converters take them whole, and detection knows them."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.single_file_utils import (
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
    convert_wan_vae_to_diffusers,
)
from safetensors.torch import load_file

from swarm.architectures import families
from swarm.architectures.architecture import Architecture
from swarm.architectures.detect import detect
from swarm.base.registry import collect
from swarm.catalog.headers import read_header
from tests.support.tiny import autoencoders, encoders, unets
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Tensors

pytestmark = pytest.mark.torch
ARCHITECTURES = collect(families, Architecture)
HEADERS = Path(__file__).parent.parent / "headers"
MODULES = (
    *("stable_diffusion_2", "sdxl_refiner", "inpainting", "stable_diffusion_3", "flux", "chroma", "flux_2"),
    *("qwen_image", "z_image", "lumina_2", "pixart", "sana", "auraflow"),
)
FAMILIES: dict[str, TinyFamily] = {
    f"{name}-{number}": family
    for name in MODULES
    for number, family in enumerate(import_module(f"tests.support.tiny.{name}").FAMILIES)
}
TOLD_BY_WIDTH = {"stable-diffusion-v3.5-large", "flux.2-dev", "flux.2-klein-4b"}
TOLD_BY_NAME = {"Flux.1-dev/kontext", "qwen-image-edit", "pixart-ms-sigma-xl-2"}
TOLD_BY_A_SETTING = {"stable-diffusion-xl-v1-refiner", "stable-diffusion-xl-v1-base"}
IDS = [pytest.param(key, id=key) for key in FAMILIES]
PROMPTED = [
    key for key in FAMILIES if not key.startswith(("sdxl_refiner", "inpainting", "qwen_image-1", "qwen_image-2"))
]
PROMPTED = [key for key in PROMPTED if key not in ("flux-2", "flux-3")]


def fp32(tensors: Tensors) -> Tensors:
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


@pytest.mark.parametrize("key", IDS)
def test_diffusers_takes_every_tensor(key: str, tmp_path: Path) -> None:
    family = FAMILIES[key]
    path = family.make(tmp_path, layout="prefixed")
    assert path.stat().st_size < 4_500_000
    read = load_file(path)
    assert all(name.startswith(family.prefix) for name in read)
    converted = fp32(family.convert({name.removeprefix(family.prefix): value for name, value in read.items()}))
    reference = family.denoiser()
    missing, unexpected = reference.load_state_dict(converted, strict=False)
    assert (missing, unexpected) == ([], [])
    bare = load_file(family.make(tmp_path, layout="bare", name="bare"))
    assert bare.keys() == {name.removeprefix(family.prefix) for name in read}
    assert all(torch.equal(bare[name.removeprefix(family.prefix)], read[name]) for name in read)


@pytest.mark.parametrize("key", IDS)
def test_a_file_is_known_for_what_it_is(key: str, tmp_path: Path) -> None:
    family = FAMILIES[key]
    layouts = ("single",) if family.component == "unet" else ("bare", "prefixed")
    for layout in layouts:
        said = detect(read_header(family.make(tmp_path, layout=layout)), ARCHITECTURES)
        assert said.found is ARCHITECTURES[family.id]
    if family.id not in TOLD_BY_WIDTH | TOLD_BY_NAME | TOLD_BY_A_SETTING:
        silent = [family.make(tmp_path, layout=layout, name=f"silent-{layout}", said=False) for layout in layouts]
        assert ARCHITECTURES[family.id] in [detect(read_header(path), ARCHITECTURES).found for path in silent]


@pytest.mark.parametrize("key", IDS)
def test_names_agree_with_the_headers_of_published_files(key: str, tmp_path: Path) -> None:
    family = FAMILIES[key]
    known = {name for layout in family.layouts if layout in ("bare", "prefixed", "single")
             for name in load_file(family.make(tmp_path, layout=layout, name=layout))}  # fmt: skip
    for path in HEADERS.glob("*.json"):
        content = json.loads(path.read_text())
        if content["id"] == family.id and "diffusers" not in path.stem:
            assert set(content["tensors"]) <= known, path.name


@pytest.mark.parametrize("key", ["flux-0", "stable_diffusion_2-0", "z_image-0"])
def test_every_build_is_the_same(key: str, tmp_path: Path) -> None:
    first, second = (load_file(FAMILIES[key].make(tmp_path / name, layout="bare")) for name in "ab")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' DPM-Solver and numpy 2
@pytest.mark.parametrize("key", PROMPTED)
@torch.inference_mode()
def test_diffusers_draws_with_it_and_hears_the_prompt(key: str) -> None:
    pipe = FAMILIES[key].reference()
    drawn = [
        pipe(
            prompt=prompt,
            width=64,
            height=64,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images
        for prompt in ("a cat", "a red fox in the house")
    ]
    assert drawn[0].isfinite().all()
    assert (drawn[0] - drawn[1]).abs().mean() > 1e-3 * drawn[0].abs().mean()


@pytest.mark.parametrize(
    ("key", "layout"),
    [("chroma-0", "sharded"), ("lumina_2-0", "folder"), ("sana-0", "sharded"), ("auraflow-0", "folder")],
)
def test_a_folder_holds_the_same_model(key: str, layout: str, tmp_path: Path) -> None:
    family = FAMILIES[key]
    folder = family.make(tmp_path, layout=layout)
    assert (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").is_file() == (
        layout == "sharded"
    )
    read = DiffusionPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    own = family.reference()
    for name, part in own.components.items():
        if isinstance(part, torch.nn.Module):
            loaded = read.components[name].state_dict()
            assert all(torch.equal(value, loaded[entry]) for entry, value in part.state_dict().items())
        elif "tokenizer" in name:
            assert part("a red fox").input_ids == read.components[name]("a red fox").input_ids


@pytest.mark.parametrize("make", [autoencoders.flux_vae, autoencoders.sd3_vae, lambda: autoencoders.sd_vae(0.13025)])
def test_vaes_have_the_original_names(make: Any) -> None:
    vae = make()
    converted = fp32(convert_ldm_vae_checkpoint(autoencoders.original_kl(vae), dict(vae.config)))
    assert vae.load_state_dict(converted, strict=False) == ([], [])


def test_the_qwen_vae_has_wan_s_names() -> None:
    vae = autoencoders.qwen_vae()
    converted = fp32(convert_wan_vae_to_diffusers(autoencoders.original_qwen(vae)))
    assert vae.load_state_dict(converted, strict=False) == ([], [])


def test_stable_diffusion_2_s_text_encoder_has_open_clip_s_names() -> None:
    whole = unets.clip_h(24)
    plain = unets.cut(whole, 23)
    tensors = unets.open_clip_tensors("cond_stage_model.model.", whole)
    converted = convert_open_clip_checkpoint(plain, tensors, prefix="cond_stage_model.model.")
    own = plain.state_dict()
    named = {name.removeprefix("text_model."): value for name, value in converted.items()}
    assert own.keys() <= named.keys()
    assert all(torch.equal(named[name].float(), value) for name, value in own.items())


PUBLISHED = {
    "clip_l": ("text_model.encoder.layers.0.self_attn.q_proj.weight", "text_projection.weight"),
    "clip_g": ("text_model.embeddings.position_embedding.weight", "text_projection.weight"),
    "t5xxl": ("shared.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
    "qwen3": ("model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight"),
    "qwen2.5vl": ("model.layers.0.self_attn.q_proj.bias", "visual.blocks.0.attn.qkv.weight"),
    "mistral": ("model.embed_tokens.weight", "model.layers.30.mlp.up_proj.weight"),
    "gemma2": ("model.layers.0.post_feedforward_layernorm.weight", "spiece_model"),
    "pile_t5": ("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", "spiece_model"),
}
VAES = {"qwen_image": "decoder.middle.0.residual.2.weight", "sana": "decoder.up_blocks.0.1.conv1.weight"}


@pytest.mark.parametrize("key", [key for key in FAMILIES if key.endswith("-0") and FAMILIES[key].files])
def test_companions_have_the_published_names(key: str, tmp_path: Path) -> None:
    for slot, path in FAMILIES[key].companions(tmp_path).items():
        names = load_file(path).keys()
        wanted = PUBLISHED.get(slot, (VAES.get(key.removesuffix("-0"), "decoder.up.0.block.0.conv1.weight"),))
        assert names >= set(wanted), slot
        assert path.stat().st_size < 5_500_000


def test_small_vocabularies_come_with_their_encoders() -> None:
    assert encoders.gemma_tensors(encoders.gemma2())["spiece_model"].dtype is torch.uint8
    assert encoders.pile_tensors(encoders.pile_t5())["spiece_model"].dtype is torch.uint8
