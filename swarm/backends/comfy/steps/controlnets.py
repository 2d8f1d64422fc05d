"""The three ControlNets, with ComfyUI's own Canny where edges are asked for."""

from __future__ import annotations

from swarm.backends.comfy.building import Building, ComfyStep, need
from swarm.backends.comfy.graph import Link
from swarm.backends.comfy.steps.models import family_of
from swarm.base.errors import BackendError
from swarm.features.controlnet import preprocessor_of
from swarm.features.controlnet_slots import AUTO, NONE, ONE, SLOTS, Slot
from swarm.features.init_image import INIT_IMAGE
from swarm.features.preprocessors.canny import CANNY
from swarm.features.resolution import HEIGHT, WIDTH

_LOW, _HIGH = 0.4, 0.8
_SPECIAL_VAE = ("flux.1", "stable-diffusion-v3", "qwen-image")


def control(building: Building) -> None:
    """Hold the base walk to every guiding picture."""
    for slot in SLOTS:
        file = building.job.files.get(slot.model.id)
        if file is not None and building.job.input.has(slot.strength) and building.get(slot.strength) > 0:
            _apply(building, slot, building.own_name("ControlNet", file))


def _apply(building: Building, slot: Slot, name: str) -> None:
    net = building.add("ControlNetLoader", control_net_name=name)
    union = building.get(slot.union)
    if union != AUTO:
        net = building.add("SetUnionControlNetType", control_net=net, type=union)
    base = building.base
    assert base is not None, "the steps are out of order"
    more = {"vae": base.vae} if family_of(building.job.model).startswith(_SPECIAL_VAE) else {}
    node, _ = building.add(
        "ControlNetApplyAdvanced",
        positive=need(building.positive),
        negative=need(building.negative),
        control_net=net,
        image=_hint(building, slot),
        strength=building.get(slot.strength),
        start_percent=building.get(slot.start),
        end_percent=building.get(slot.end),
        **more,
    )
    building.positive, building.negative = (node, 0), (node, 1)


def _hint(building: Building, slot: Slot) -> Link:
    places = (slot.image.id, ONE.image.id, INIT_IMAGE.id)
    name = next((building.uploaded[id] for id in places if id in building.uploaded), None)
    if name is None:
        raise BackendError("A ControlNet needs a picture: give a ControlNet Image Input or an Init Image.")
    picture = scaled(building, name)
    wanted = preprocessor_of(building.job.input, slot)
    if wanted == NONE:
        return picture
    if wanted != CANNY.id:
        raise BackendError(f"This backend cannot prepare pictures by '{wanted}'. Give a prepared one and choose None.")
    return building.add("Canny", image=picture, low_threshold=_LOW, high_threshold=_HIGH)


def scaled(building: Building, name: str) -> Link:
    """An uploaded picture, stretched to the picture's size."""
    image = building.add("LoadImage", image=name)
    width, height = building.get(WIDTH), building.get(HEIGHT)
    return building.add(
        "ImageScale", image=image, upscale_method="lanczos", width=width, height=height, crop="disabled"
    )


CONTROL = ComfyStep(
    id="control",
    order=30,
    run=control,
    params=tuple(
        param
        for slot in SLOTS
        for param in (
            slot.image, slot.preprocessor, slot.union, slot.model, slot.strength, slot.start, slot.end,
        )
    ),
    features=("controlnet",),
    nodes=("ControlNetLoader", "ControlNetApplyAdvanced"),
)  # fmt: skip
