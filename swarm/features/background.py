"""Pictures without their background (swarm-t2i 9.13)."""

from __future__ import annotations

from typing import Any

from swarm.base.errors import BadInput
from swarm.features.groups import ADVANCED_SAMPLING_GROUP
from swarm.features.segments import transparent
from swarm.jobs.acts import Asking, Making, Work, WorkTools, act
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean

REMOVE_BACKGROUND = Boolean(
    name="Remove Background",
    description="Makes everything transparent but what stands in front. JPG files, which "
    "cannot be transparent, keep the background.",
    ignore_if="false",
    group=ADVANCED_SAMPLING_GROUP,
    priority=-2.0,
    advanced=True,
)
CUTTER = "cutter"
"""Where the job carries the file (`Job.files`), and the kind of network it is."""
_FOLDER = "rembg"
_NAMES = ("u2net", "isnet-general-use", "u2net_human_seg", "isnet-anime", "u2netp", "silueta")
_SUFFIXES = ("safetensors", "onnx")


@need(when=REMOVE_BACKGROUND)
def cutter_file(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The network that tells what stands in front."""
    if not input.get(REMOVE_BACKGROUND):
        return Found(parts={}, files={})
    wanted = (f"{_FOLDER}/{name}.{suffix}" for suffix in _SUFFIXES for name in _NAMES)
    found = next((file for each in wanted if (file := files.beside(each)) is not None), None)
    if found is None:
        raise BadInput(
            "Removing the background takes a network that is not there. Put 'u2net.safetensors' or 'u2net.onnx' (or "
            f"'isnet-general-use' in either format) into the folder '{_FOLDER}' of the models folder."
        )
    return Found(parts={}, files={CUTTER: found})


@act(order=40, when=REMOVE_BACKGROUND)
def remove_background(making: Making) -> Asking:
    if not making.job.input.get(REMOVE_BACKGROUND):
        return
    image = yield from making.as_image()
    file = making.job.files[CUTTER]

    def run(tools: WorkTools) -> Any:
        return tools.network(CUTTER, file)(image)

    front = yield Work(name="cut out", run=run)
    making.image = transparent(image, 1.0 - front)
