"""Models made for enlarging pictures, as methods of the refine stage (swarm-t2i 9.8): `model-<file>`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.mask_images import resized
from swarm.jobs.acts import Ask, Work, WorkTools
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files
from swarm.params.choices import Choices
from swarm.params.param import Option

FOLDER = "upscale_models"
SUFFIXES = (".safetensors", ".sft", ".pth")
PREFIX = "model-"
UPSCALER = "upscaler"
"""Where the job carries the file (`Job.files`), and the kind of network it is."""


def upscaler_options(choices: Choices) -> Sequence[Option]:
    """The methods that the files in the folder stand for."""
    names = choices.files(FOLDER, SUFFIXES)
    return [(PREFIX + name, f"Model: {name.rpartition('.')[0]}") for name in names]


def find_upscaler(method: str, files: Files) -> ModelFile:
    """The file of a method. Raises BadInput when it is not there."""
    name = method.removeprefix(PREFIX)
    found = None if ".." in name.replace("\\", "/").split("/") else files.beside(f"{FOLDER}/{name}")
    if found is None:
        raise BadInput(f"The upscaler '{name}' is not there. Put it into the folder '{FOLDER}' of the models folder.")
    return found


def upscaled_by_model(image: Any, file: ModelFile, width: int, height: int) -> Generator[Ask, Any, Any]:
    """An image made larger by a model, then brought to width × height."""

    def run(tools: WorkTools) -> Any:
        return tools.network(UPSCALER, file)(image)

    made = yield Work(name="upscale", run=run)
    return resized(made, width, height)
