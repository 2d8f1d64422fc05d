"""Jobs as ComfyUI graphs: each is checked by a fake as strict as the real server, then read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import swarm.features
from swarm.architectures import families
from swarm.architectures.architecture import Architecture
from swarm.backends.comfy.info import ComfyInfo, info_of
from swarm.backends.comfy.workflow import NOT_OURS, UNDERSTOOD, features_of, loading_workflow, refused, workflow_of
from swarm.backends.types.fake import as_png, gradient
from swarm.base.errors import BackendError
from swarm.base.registry import collect
from swarm.jobs.job import Job, LoraUse, ModelFile
from swarm.params.input import GenerationInput
from swarm.params.param import Param
from tests.support.comfy import FakeComfy

PICTURE = as_png(gradient(3, 64, 64))


def file(name: str, family: str | None = None, **more: Any) -> ModelFile:
    return ModelFile(name=name, path=Path(name), family=family, stamp="1", **more)


BASE = file("base.safetensors", latent_space="sdxl")
OTHER = file("refiner.safetensors", latent_space="sdxl")
FLUX = file("flux.safetensors", "Flux.1-dev")
ARCHITECTURES = collect(families, Architecture)
FOREIGN = file("other/sd3.safetensors", latent_space="sd3")


@pytest.fixture
def comfy() -> FakeComfy:
    names = ["base.safetensors", "refiner.safetensors", "other\\sd3.safetensors"]
    return FakeComfy(names, ["style.safetensors", "late.safetensors"])


@pytest.fixture
def info(comfy: FakeComfy) -> ComfyInfo:
    return info_of(comfy.info)


class Graph:
    """A graph that the server would take."""

    def __init__(self, comfy: FakeComfy, job: Job) -> None:
        uploaded = {id: f"{id}.png" for id in job.input if job.input.values[id] is PICTURE}
        comfy.uploads |= dict.fromkeys(uploaded.values(), b"")
        self.workflow = workflow_of(job, info_of(comfy.info), uploaded, ARCHITECTURES)
        self.nodes: Mapping[str, Any] = self.workflow.nodes
        assert comfy.errors(dict(self.nodes)) == {}

    def all(self, class_type: str) -> list[dict[str, Any]]:
        return [node["inputs"] for node in self.nodes.values() if node["class_type"] == class_type]

    def one(self, class_type: str) -> dict[str, Any]:
        [found] = self.all(class_type)
        return found

    def above(self, inputs: dict[str, Any], name: str) -> str:
        """The class of the node that an input comes from."""
        return str(self.nodes[inputs[name][0]]["class_type"])

    def types(self) -> Iterator[str]:
        return (node["class_type"] for node in self.nodes.values())


def job(values: Mapping[str, Any], model: ModelFile = BASE, **more: Any) -> Job:
    given = {"prompt": "a cat", "steps": 20, "width": 64, "height": 64, "cfgscale": 5.0, **values}
    return Job(id="1", input=GenerationInput(given), model=model, seeds=(7,), **more)


def test_every_parameter_is_known_by_its_own_name() -> None:
    known = {param.id for param in collect(swarm.features, Param).values()}
    assert known >= UNDERSTOOD
    assert known >= NOT_OURS
    assert not UNDERSTOOD & NOT_OURS


def test_what_cannot_be_expressed_is_refused_beforehand() -> None:
    assert refused(frozenset({"prompt", "steps", "seed", "refinermodel", "controlnetstrength"})) is None
    assert refused(frozenset({"prompt", "seamlesstileable"})) is not None
    for param in ("refinerdotiling", "useipadapter", "removebackground", "maskshrinkgrow", "conditioningmultiplier"):
        assert param in (refused(frozenset({param})) or "")


def test_flags_follow_the_nodes(comfy: FakeComfy, info: ComfyInfo) -> None:
    assert {"refiners", "controlnet", "freeu", "endstepsearly"} <= features_of(info)
    del comfy.info["ControlNetLoader"], comfy.info["FreeU_V2"]
    assert not {"controlnet", "freeu"} & features_of(info_of(comfy.info))


def test_the_refine_stage_swaps_models_and_enlarges(comfy: FakeComfy) -> None:
    style, late = (LoraUse(file=file(name), weight=0.5, text_weight=0.4, section=section)
                   for name, section in (("style.safetensors", -1), ("late.safetensors", 1)))  # fmt: skip
    asked = {
        "prompt": "a cat <refiner//cid=1> sharp", "refinercontrolpercentage": 0.25, "refinermethod": "PostApply",
        "refinerupscale": 2.0, "refinerupscalemethod": "pixel-lanczos", "refinercfgscale": 2.0, "refinersteps": 40,
    }  # fmt: skip
    graph = Graph(comfy, job(asked, files={"refinermodel": OTHER}, loras=(style, late)))
    base, refined = graph.all("KSamplerAdvanced")
    assert (base["noise_seed"], base["end_at_step"], refined["noise_seed"]) == (7, 10000, 8)
    assert (refined["steps"], refined["start_at_step"], refined["cfg"], refined["add_noise"]) == (40, 30, 2.0, "enable")
    assert (graph.one("ImageScale")["width"], graph.above(refined, "latent_image")) == (128, "VAEEncode")
    assert [one["lora_name"] for one in graph.all("LoraLoader")] == ["style.safetensors"] * 2 + ["late.safetensors"]
    assert [one["text"] for one in graph.all("CLIPTextEncode")] == ["a cat", "", "a cat   sharp", ""]
    assert len(graph.workflow.outputs) == 1


@pytest.mark.parametrize(("method", "left", "noise"), [("StepSwap", "disable", "enable"),
                                                       ("StepSwapNoisy", "enable", "disable")])  # fmt: skip
def test_step_swap_hands_over_on_the_way(comfy: FakeComfy, method: str, left: str, noise: str) -> None:
    graph = Graph(comfy, job({"refinercontrolpercentage": 0.25, "refinermethod": method}))
    base, refined = graph.all("KSamplerAdvanced")
    assert (base["end_at_step"], base["return_with_leftover_noise"]) == (15, left)
    assert (refined["start_at_step"], refined["add_noise"]) == (15, noise)
    assert graph.above(refined, "latent_image") == "KSamplerAdvanced"


def test_latents_of_another_family_go_through_pixels(comfy: FakeComfy) -> None:
    asked = {"refinercontrolpercentage": 0.25, "refinermethod": "PostApply"}
    graph = Graph(comfy, job(asked, files={"refinermodel": FOREIGN}))
    assert graph.above(graph.all("KSamplerAdvanced")[1], "latent_image") == "VAEEncode"
    assert "other\\sd3.safetensors" in {one["ckpt_name"] for one in graph.all("CheckpointLoaderSimple")}


def test_a_picture_may_only_be_enlarged(comfy: FakeComfy) -> None:
    asked = {"refinercontrolpercentage": 0.0, "refinermethod": "PostApply", "refinerupscale": 2.0}
    graph = Graph(comfy, job({**asked, "refinerupscalemethod": "model-2x.safetensors"}))
    assert len(graph.all("KSamplerAdvanced")) == 1
    assert graph.above(graph.one("PreviewImage"), "images") == "ImageScale"
    latent = Graph(comfy, job({**asked, "refinercontrolpercentage": 0.5, "refinerupscalemethod": "latent-bislerp"}))
    assert latent.above(latent.all("KSamplerAdvanced")[1], "latent_image") == "LatentUpscaleBy"


def test_controlnets_prepare_and_hold(comfy: FakeComfy) -> None:
    asked = {
        "controlnetstrength": 0.8, "controlnetstart": 0.1, "controlnetend": 0.9, "controlnetimageinput": PICTURE,
        "controlnetmodel": "canny.safetensors",
    }  # fmt: skip
    graph = Graph(comfy, job(asked, files={"controlnetmodel": file("canny.safetensors")}))
    applied = graph.one("ControlNetApplyAdvanced")
    assert (applied["strength"], applied["start_percent"], applied["end_percent"]) == (0.8, 0.1, 0.9)
    assert graph.above(applied, "image") == "Canny"
    assert graph.above(graph.one("KSamplerAdvanced"), "negative") == "ControlNetApplyAdvanced"
    plain = Graph(comfy, job({**asked, "controlnetpreprocessor": "None"},
                             files={"controlnetmodel": file("canny.safetensors")}))  # fmt: skip
    assert plain.above(plain.one("ControlNetApplyAdvanced"), "image") == "ImageScale"


def test_masks_are_grown_softened_and_put_back(comfy: FakeComfy) -> None:
    asked = {"initimage": PICTURE, "maskimage": PICTURE, "maskgrow": 5, "maskblur": 4, "initimagecreativity": 0.5}
    graph = Graph(comfy, job(asked))
    assert {one["expand"] for one in graph.all("GrowMask")} == {3}
    assert {one["blur_radius"] for one in graph.all("ImageBlur")} == {4}
    assert graph.above(graph.one("KSamplerAdvanced"), "model") == "DifferentialDiffusion"
    assert graph.above(graph.one("PreviewImage"), "images") == "ImageCompositeMasked"
    assert graph.one("KSamplerAdvanced")["start_at_step"] == 10


def test_regions_are_masks_that_share_the_picture(comfy: FakeComfy) -> None:
    prompt = "a field <region:0,0,0.5,1//cid=11> a cat <region:0.5,0,0.5,1,-0.5//cid=12> a dog"
    graph = Graph(comfy, job({"prompt": prompt, "globalregionfactor": 0.25}))
    assert [one["strength"] for one in graph.all("ConditioningSetMask")] == [0.25, 0.75, 0.75, 0.75]
    assert len(graph.all("ConditioningCombine")) == 3
    assert len(graph.all("InvertMask")) == 1


@pytest.mark.parametrize("prompt", ["a <segment:face> x", "a <object:0,0,1,1> x", "a <break> b", "a [b|c]"])
def test_prompts_that_become_several_walks_are_refused(comfy: FakeComfy, prompt: str) -> None:
    with pytest.raises(BackendError, match="runs models itself"):
        Graph(comfy, job({"prompt": prompt}))


def test_bare_diffusion_models_get_their_encoders(comfy: FakeComfy, info: ComfyInfo) -> None:
    parts = {
        "clip_l": file("clip_l.safetensors"), "t5xxl": file("t5xxl_fp16.safetensors"), "vae": file("ae.safetensors"),
    }  # fmt: skip
    graph = Graph(comfy, job({"fluxguidancescale": 3.0, "sigmashift": 1.15, "cfgscale": 1.0}, FLUX, parts=parts))
    assert graph.one("UNETLoader")["unet_name"] == "flux.safetensors"
    assert graph.one("DualCLIPLoader") == {
        "clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl_fp16.safetensors", "type": "flux",
    }  # fmt: skip
    assert graph.one("ModelSamplingFlux")["max_shift"] == 1.15
    solved = graph.one("KSamplerAdvanced")
    assert (solved["sampler_name"], solved["scheduler"]) == ("euler", "simple"), "as Flux is drawn without being asked"
    assert graph.above(graph.one("KSamplerAdvanced"), "positive") == "FluxGuidance"
    loading = loading_workflow(file("flux.safetensors", "Flux.1-dev", companions=tuple(parts.items())), info)
    assert comfy.errors(dict(loading.nodes)) == {}
    with pytest.raises(BackendError, match="text encoders"):
        Graph(comfy, job({}, FLUX, parts={"vae": parts["vae"]}))
    with pytest.raises(BackendError, match="VAE"):
        Graph(comfy, job({}, FLUX))


def test_patches_and_layers(comfy: FakeComfy) -> None:
    asked = {
        "freeuapplyto": "Base", "freeuversion": "2", "rescalecfgmultiplier": 0.5, "clipstopatlayer": -2,
        "overridepredictiontype": "v-zsnr", "perturbedattentionguidancescale": 3.0, "zeronegative": True,
        "vaetilesize": 256, "refinercontrolpercentage": 0.5, "refinermethod": "PostApply",
    }  # fmt: skip
    graph = Graph(comfy, job(asked))
    assert len(graph.all("FreeU_V2")) == 1
    assert len(graph.all("RescaleCFG")) == len(graph.all("PerturbedAttentionGuidance")) == 2
    assert graph.all("ModelSamplingDiscrete")[0] == {
        "model": ["4", 0], "sampling": "v_prediction", "zsnr": True,
    }  # fmt: skip
    assert graph.one("CLIPSetLastLayer")["stop_at_clip_layer"] == -2
    assert graph.above(graph.all("KSamplerAdvanced")[0], "negative") == "ConditioningZeroOut"
    assert graph.one("VAEDecodeTiled")["tile_size"] == 256


def test_a_node_that_is_not_there_is_named(comfy: FakeComfy) -> None:
    with pytest.raises(BackendError, match="no node 'TCFG'"):
        Graph(comfy, job({"usetcfg": True}))


@pytest.mark.parametrize(("family", "shift"), [("qwen-image", 3.0), ("chroma", 1.0)])
def test_families_get_the_shift_they_are_usually_drawn_with(comfy: FakeComfy, family: str, shift: float) -> None:
    graph = Graph(comfy, job({}, file("base.safetensors", family)))
    assert graph.one("ModelSamplingAuraFlow")["shift"] == shift
    asked = Graph(comfy, job({"sigmashift": 2.0}, file("base.safetensors", family)))
    assert asked.one("ModelSamplingAuraFlow")["shift"] == 2.0
