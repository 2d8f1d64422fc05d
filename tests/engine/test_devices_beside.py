"""What acts beside a model is on its device and in its format: LoRAs, ControlNets, pictures as words, previews."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from safetensors.torch import save_file
from transformers import (
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from swarm.engine.components import TextOptions
from swarm.engine.memory import Models
from swarm.engine.networks.cutter import load as load_cutter
from swarm.engine.networks.upscaler import load as load_upscaler
from swarm.engine.networks.words import load as load_words
from swarm.engine.preview import colours_for
from swarm.engine.runner import Methods, Model
from swarm.engine.start import families, methods
from swarm.engine.vaes.tiny_vae import TinyVae
from swarm.features.ip_adapter import ADAPTER_FILE, STANDARD
from swarm.features.ip_adapter import ENCODER_FILE as IP_EYES
from swarm.features.resize import LATENT_METHODS, scaled_latent
from swarm.features.revision import ENCODER_FILE as REVISION_EYES
from swarm.features.style_model import ENCODER_FILE as STYLE_EYES
from swarm.features.style_model import STYLE_FILE
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import SD, XL
from tests.engine.far import ELSEWHERE, FAR, Halving, far, pass_of, walk
from tests.engine.flow_oracle import model
from tests.engine.test_background import saved as cutter_file
from tests.engine.test_controlnet_flow import file_of
from tests.engine.test_devices_features import picture
from tests.engine.test_ip_adapter import adapter
from tests.engine.test_segments import SMALL
from tests.engine.test_tiny_vae import published
from tests.engine.test_upscalers import real_names, rrdb_net
from tests.engine.test_upscalers import saved as weights_file
from tests.support.tiny.controls import flux_net, sd3_net, wide_lora
from tests.support.tiny.flux import DEV
from tests.support.tiny.stable_diffusion_3 import MEDIUM
from tests.support.tiny.unet_controls import FULL, FULL_XL, LIGHT, control_lora, picture_adapter
from tests.support.tiny.weights import state
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
FLUX, SD3 = DEV.id, MEDIUM.id
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
KEYS = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
VALUES = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v"
QUERIES = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


@pytest.fixture(scope="module")
def known() -> Methods:
    return methods()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beside")


@pytest.fixture(scope="module")
def all_files(files: Mapping[str, ModelFile], folder: Path) -> Mapping[str, ModelFile]:
    small = {family.id: model(family, family.make(folder, layout="single")) for family in (DEV, MEDIUM)}
    return {**files, **small}


@pytest.fixture(scope="module")
def found(all_files: Mapping[str, ModelFile]) -> Mapping[str, Model]:
    return {name: far(all_files[name]) for name in (SD, XL, FLUX, SD3)}


def saved(module: Any, path: Path) -> ModelFile:
    save_file({name: tensor.clone().contiguous() for name, tensor in module.state_dict().items()}, path)
    return file_of(path)


# -- LoRAs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lora(folder: Path) -> LoraUse:
    """Of every kind: plain over a convolution, with DoRA's lengths, LoHa, and in the text encoder."""
    tensors = {
        f"{CONV}.lora_down.weight": torch.randn(2, 32, 3, 3),
        f"{CONV}.lora_up.weight": torch.randn(32, 2, 1, 1),
        f"{CONV}.alpha": torch.tensor(1.0),
        f"{VALUES}.lora_down.weight": torch.randn(2, 32),
        f"{VALUES}.lora_up.weight": torch.randn(32, 2),
        f"{VALUES}.dora_scale": torch.rand(32, 1),
        **{f"{KEYS}.hada_w{n}_a": torch.randn(32, 2) for n in (1, 2)},
        **{f"{KEYS}.hada_w{n}_b": torch.randn(2, 32) for n in (1, 2)},
        f"{QUERIES}.lora_down.weight": torch.randn(2, 32),
        f"{QUERIES}.lora_up.weight": torch.randn(32, 2),
    }
    save_file(tensors, folder / "lora.safetensors")
    return LoraUse(file=file_of(folder / "lora.safetensors"), weight=0.8, text_weight=0.6)


def test_loras_in_the_weights_and_out_again(all_files: Mapping[str, ModelFile], known: Methods, lora: LoraUse) -> None:
    models = Models(FAR, families(), lambda: 0.0, known.patches)
    for loras in ((lora,), (), (replace(lora, weight=0.3),)):
        of = pass_of(all_files[SD], loras=loras, steps=2)
        with torch.inference_mode():
            changed = models.ready(of)
        weights = {(weight.device, weight.dtype) for weight in changed.components.denoiser.parameters()}
        assert weights == {(ELSEWHERE, FAR.compute)}
        walk(changed, known, of)


def test_a_lora_that_leads_the_model(all_files: Mapping[str, ModelFile], known: Methods, folder: Path) -> None:
    save_file(wide_lora(), folder / "wide.safetensors")
    led = LoraUse(file=file_of(folder / "wide.safetensors"), weight=0.8, text_weight=0.0)
    models = Models(FAR, families(), lambda: 0.0, known.patches)
    of = pass_of(all_files[FLUX], loras=(led,), initimage=picture(), steps=1)
    with torch.inference_mode():
        changed = models.ready(of)
    walk(changed, known, of)


def test_loras_of_a_region(
    found: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods, lora: LoraUse
) -> None:
    of = pass_of(
        all_files[SD], prompt="a boat <region:0.5,0,0.5,1//cid=11> snow", steps=2, confined=(replace(lora, section=11),)
    )
    walk(found[SD], known, of)
    assert found[SD].branches._known


def test_words_that_were_learned(found: Mapping[str, Model], folder: Path) -> None:
    save_file({"emb_params": torch.randn(2, 32)}, folder / "mine.safetensors")
    options = TextOptions(embeddings=(("mine", file_of(folder / "mine.safetensors")),))
    with torch.inference_mode():
        told = found[SD].components.text.encode("a <embed:mine> at night", options)
    assert (told.tokens.device, told.tokens.dtype) == (ELSEWHERE, FAR.compute)


# -- ControlNets ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nets(tiny: Mapping[str, Tiny], folder: Path) -> Mapping[str, ModelFile]:
    named = ControlNetUnionModel.from_unet(tiny[XL].unet).config.items()
    config = {name: value for name, value in named if not name.startswith("_")}
    union = ControlNetUnionModel.from_config(
        {**config, "num_trans_channel": 32, "num_trans_head": 1, "num_proj_channel": 32}
    )
    made = {SD: ControlNetModel.from_unet(tiny[SD].unet), XL: ControlNetModel.from_unet(tiny[XL].unet)}
    made |= {"union": union, FLUX: flux_net(), SD3: sd3_net(MEDIUM)}
    files = {}
    for number, (name, net) in enumerate(made.items()):
        save_file(
            {key: value.clone().contiguous() for key, value in state(net).items()}, folder / f"{number}.net.safetensors"
        )
        files[name] = file_of(folder / f"{number}.net.safetensors")
    for family in (SD, XL):
        save_file(control_lora(tiny[family].unet, made[family])[0], folder / f"lora-{family}.safetensors")
        files[f"lora {family}"] = file_of(folder / f"lora-{family}.safetensors")
    for kind, family in ((FULL, SD), (LIGHT, SD), (FULL_XL, XL)):
        files[kind] = saved(picture_adapter(tiny[family].unet, kind), folder / f"{kind}.safetensors")
    return files


BESIDE = [
    (SD, SD), (XL, XL), ("union", XL), (FLUX, FLUX), (SD3, SD3), (f"lora {SD}", SD), (f"lora {XL}", XL), (FULL, SD),
    (LIGHT, SD), (FULL_XL, XL),
]  # fmt: skip


@pytest.mark.parametrize(("name", "family"), BESIDE)
def test_a_controlnet(
    found: Mapping[str, Model],
    all_files: Mapping[str, ModelFile],
    known: Methods,
    nets: Mapping[str, ModelFile],
    name: str,
    family: str,
) -> None:
    of = pass_of(
        all_files[family], controlnetstrength=0.7, controlnetmodel="net", controlnetpreprocessor="None",
        controlnetimageinput=picture(), files={"controlnetmodel": nets[name]}, steps=2,
    )  # fmt: skip
    walk(found[family], known, of)


@pytest.mark.parametrize("preprocessor", ["CannyEdgePreprocessor", "ScribblePreprocessor"])
def test_guides_are_made_at_home(
    found: Mapping[str, Model],
    all_files: Mapping[str, ModelFile],
    known: Methods,
    nets: Mapping[str, ModelFile],
    preprocessor: str,
) -> None:
    of = pass_of(
        all_files[SD], controlnetstrength=0.7, controlnetmodel="net", controlnetpreprocessor=preprocessor,
        controlnetimageinput=picture(), files={"controlnetmodel": nets[SD]}, steps=2,
    )  # fmt: skip
    walk(found[SD], known, of)


# -- pictures as words ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eyes(folder: Path) -> Mapping[int, ModelFile]:
    made = {}
    for width in (24, 64):
        config = CLIPVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=16, image_size=32,
            patch_size=8, projection_dim=width, hidden_act="quick_gelu",
        )  # fmt: skip
        made[width] = saved(CLIPVisionModelWithProjection(config), folder / f"eyes-{width}.safetensors")
    return made


@pytest.mark.parametrize("family", [SD, XL])
def test_an_ip_adapter(
    found: Mapping[str, Model],
    all_files: Mapping[str, ModelFile],
    known: Methods,
    tiny: Mapping[str, Tiny],
    eyes: Mapping[int, ModelFile],
    folder: Path,
    family: str,
) -> None:
    files = {ADAPTER_FILE: adapter(tiny[family].unet, folder / f"ip-{family}.safetensors"), IP_EYES: eyes[24]}
    of = pass_of(all_files[family], promptimages=(picture(),), useipadapter=STANDARD, files=files, steps=2)
    walk(found[family], known, of)


def test_revision(
    found: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods, eyes: Mapping[int, ModelFile]
) -> None:
    of = pass_of(
        all_files[XL], promptimages=(picture(),), revisionstrength=1.0, revisionzeroprompt=True,
        files={REVISION_EYES: eyes[64]}, steps=2,
    )  # fmt: skip
    walk(found[XL], known, of)


def test_a_style_model(
    found: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods, folder: Path
) -> None:
    config = SiglipVisionConfig(
        hidden_size=72, intermediate_size=48, num_hidden_layers=2, num_attention_heads=1, image_size=28, patch_size=14
    )
    network: Any = found[FLUX].components.denoiser
    redux = ReduxImageEncoder(redux_dim=72, txt_in_features=int(network.config.joint_attention_dim))
    files = {
        STYLE_FILE: saved(redux, folder / "redux.safetensors"),
        STYLE_EYES: saved(SiglipVisionModel(config), folder / "siglip.safetensors"),
    }
    of = pass_of(all_files[FLUX], promptimages=(picture(),), usestylemodel="redux", files=files, steps=2)
    walk(found[FLUX], known, of)


# -- previews and networks of errands ------------------------------------------------------------------------------

NEITHER = "Cannot copy out of meta tensor|cannot be called on meta"
"""What this device says when the finished thing is fetched; everything before that has worked on it."""


def test_previews(found: Mapping[str, Model], folder: Path) -> None:
    published(folder / "taesd.safetensors", 4)
    tiny_vae = TinyVae.load(file_of(folder / "taesd.safetensors"), FAR)
    latent = torch.zeros(1, 4, 16, 16, device=ELSEWHERE)
    colours = colours_for(found[XL].components, FAR)
    for shown in (tiny_vae.picture, colours.picture):
        with torch.inference_mode(), pytest.raises(NotImplementedError, match=NEITHER):
            shown(latent)


def test_upscalers_and_cutters(folder: Path) -> None:
    net = rrdb_net()
    upscaler = load_upscaler(weights_file(folder / "up.safetensors", real_names(net)), FAR)
    cutter = load_cutter(cutter_file(folder / "cut.safetensors", halves=False), FAR)
    for run in (upscaler, cutter):
        with torch.inference_mode(), pytest.raises(NotImplementedError, match=NEITHER):
            run(torch.rand(1, 3, 64, 64))


def test_finding_words(folder: Path) -> None:
    torch.manual_seed(4)
    (folder / "words").mkdir()
    (folder / "words" / "config.json").write_text(json.dumps(SMALL))
    words = load_words(
        saved(CLIPSegForImageSegmentation(CLIPSegConfig(**SMALL)), folder / "words" / "w.safetensors"), FAR
    )
    with torch.inference_mode(), pytest.raises(NotImplementedError, match=NEITHER):
        words(torch.rand(1, 3, 64, 64), "a face")


@pytest.mark.parametrize("method", sorted(LATENT_METHODS))
def test_latents_of_another_size(method: str) -> None:
    made = scaled_latent(torch.zeros(1, 4, 16, 16, device=ELSEWHERE), method, 24, 20)
    assert (made.device, made.dtype, tuple(made.shape)) == (ELSEWHERE, torch.float32, (1, 4, 20, 24))


def test_a_refining_walk(found: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods) -> None:
    """From a latent on the device, of its own kind or another's, with noise to add or left."""
    latent = torch.zeros(1, 4, 16, 16, device=ELSEWHERE)
    for family in (SD, XL):
        quick = replace(found[family], denoiser=Halving(found[family].denoiser))
        for adds_noise in (True, False):
            of = pass_of(all_files[family], latent=latent, first_step=2, steps=4, adds_noise=adds_noise, name="refiner")
            walk(quick, known, of)
