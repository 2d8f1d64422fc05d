"""Changes of how the model samples: shift, kind of prediction, FreeU, and the guidance methods there are nodes for."""

from __future__ import annotations

from collections.abc import Callable

from swarm.backends.comfy.building import Building, ComfyStep, Loaded
from swarm.backends.comfy.graph import Input, Link
from swarm.backends.comfy.steps.models import family_of
from swarm.features.alternate_guidance import RENORM_CFG, USE_CFG_ZERO_STAR, USE_TCFG
from swarm.features.attention_guidance import PAG_SCALE, SAG_SCALE, SAG_SIGMA_BLUR
from swarm.features.conditioning import RESCALE_CFG_MULTIPLIER
from swarm.features.freeu import (
    FREEU_APPLY_TO,
    FREEU_BLOCK_ONE,
    FREEU_BLOCK_TWO,
    FREEU_SKIP_ONE,
    FREEU_SKIP_TWO,
    FREEU_VERSION,
)
from swarm.features.prediction_type import OVERRIDE_PREDICTION_TYPE
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sigma_shift import SIGMA_SHIFT
from swarm.jobs.job import ModelFile
from swarm.prompt.sections import Section

_PREDICTIONS = {"v": "v_prediction", "v-zsnr": "v_prediction", "epsilon": "eps", "x0": "x0", "lcm": "lcm"}
_AURA = ("qwen-image", "lumina-2", "z-image", "auraflow", "chroma")
"""Families whose shift is set by the node without the factor of a thousand, by how their ids begin."""
_TOLD = ("stable-diffusion-v1", "stable-diffusion-v2", "stable-diffusion-xl")
"""Families whose metadata may say what they predict."""
_USUAL = {"qwen-image": 3.0, "chroma": 1.0}
"""Shifts of families that ComfyUI by itself gives another one, as SwarmUI sets them."""


def patch(building: Building) -> None:
    """The base model, changed as the request asks."""
    building.base = patched(building, _base(building), stage="Base")


def patched(building: Building, loaded: Loaded, *, stage: str) -> Loaded:
    """A model changed as the request asks for a stage, `Base` or `Refiner`."""
    model = loaded.model
    for change in (_sampling, _freeu_for(stage), _guidance):
        model = change(building, model)
    return Loaded(model=model, clip=loaded.clip, vae=loaded.vae)


def _base(building: Building) -> Loaded:
    assert building.base is not None, "the steps are out of order"
    return building.base


def _sampling(building: Building, model: Link) -> Link:
    family = family_of(building.job.model)
    kind = building.given(OVERRIDE_PREDICTION_TYPE)
    if kind is None and family.startswith(_TOLD):
        kind = _told(building.job.model)
    if kind is not None and kind != "sd3":
        zero = kind == "v-zsnr"
        model = building.add("ModelSamplingDiscrete", model=model, sampling=_PREDICTIONS[kind], zsnr=zero)
    shift = building.job.input.given_within(SIGMA_SHIFT, Section.BASE)
    shift = building.given(SIGMA_SHIFT) if shift is None else shift
    if shift is None:
        usual = next((usual for begin, usual in _USUAL.items() if family.startswith(begin)), None)
        shift = SIGMA_SHIFT.default if kind == "sd3" else usual
    if shift is None:
        return model
    if family.startswith(("flux.1", "flux.2")) and kind != "sd3":
        size: dict[str, Input] = {"width": building.get(WIDTH), "height": building.get(HEIGHT)}
        return building.add("ModelSamplingFlux", model=model, max_shift=shift, base_shift=0.5, **size)
    node = "ModelSamplingAuraFlow" if family.startswith(_AURA) else "ModelSamplingSD3"
    return building.add(node, model=model, shift=shift)


def _told(file: ModelFile | None) -> str | None:
    """What a model's metadata says it predicts."""
    return file.prediction if file is not None and file.prediction in _PREDICTIONS else None


def _freeu_for(stage: str) -> Callable[[Building, Link], Link]:
    def change(building: Building, model: Link) -> Link:
        if building.given(FREEU_APPLY_TO) not in ("Both", stage):
            return model
        return building.add(
            "FreeU" if building.get(FREEU_VERSION) == "1" else "FreeU_V2",
            model=model,
            b1=building.get(FREEU_BLOCK_ONE),
            b2=building.get(FREEU_BLOCK_TWO),
            s1=building.get(FREEU_SKIP_ONE),
            s2=building.get(FREEU_SKIP_TWO),
        )

    return change


def _guidance(building: Building, model: Link) -> Link:
    if (scale := building.given(PAG_SCALE)) is not None:
        model = building.add("PerturbedAttentionGuidance", model=model, scale=scale)
    if (scale := building.given(SAG_SCALE)) is not None:
        blur = building.get(SAG_SIGMA_BLUR)
        model = building.add("SelfAttentionGuidance", model=model, scale=scale, blur_sigma=blur)
    if (share := building.given(RESCALE_CFG_MULTIPLIER)) is not None:
        model = building.add("RescaleCFG", model=model, multiplier=share)
    if (norm := building.get(RENORM_CFG)) > 0:
        model = building.add("RenormCFG", model=model, cfg_trunc=100.0, renorm_cfg=norm)
    if building.get(USE_CFG_ZERO_STAR):
        model = building.add("CFGZeroStar", model=model)
    return building.add("TCFG", model=model) if building.get(USE_TCFG) else model


PATCH = ComfyStep(
    id="patch",
    order=10,
    run=patch,
    params=(
        OVERRIDE_PREDICTION_TYPE, SIGMA_SHIFT, FREEU_APPLY_TO, FREEU_VERSION, FREEU_BLOCK_ONE, FREEU_BLOCK_TWO,
        FREEU_SKIP_ONE, FREEU_SKIP_TWO, PAG_SCALE, SAG_SCALE, SAG_SIGMA_BLUR, RESCALE_CFG_MULTIPLIER, RENORM_CFG,
        USE_CFG_ZERO_STAR, USE_TCFG,
    ),
)  # fmt: skip
FREEU = ComfyStep(id="freeu", order=11, run=lambda _building: None, features=("freeu",), nodes=("FreeU", "FreeU_V2"))
