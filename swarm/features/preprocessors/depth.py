"""How near everything is, as a depth model of the transformers library says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.preprocessors.preprocessor import Nets, Preprocessor
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files

NETWORK = "depth"
DEPTH_FOLDERS = (
    "annotators/Depth-Anything-V2-Small-hf",
    "annotators/depth-anything-small-hf",
    "annotators/dpt-hybrid-midas",
)
"""Folders of depth models; the first that is there is used."""


def _files(files: Files) -> Mapping[str, ModelFile]:
    found = next((file for place in DEPTH_FOLDERS if (file := files.beside(place)) is not None), None)
    if found is None:
        raise BadInput(
            "Finding out depth needs a depth model: put the folder of Depth-Anything-V2-Small-hf (transformers format) "
            f"into the models folder as '{DEPTH_FOLDERS[0]}', or give a depth picture and set the preprocessor to None."
        )
    return {NETWORK: found}


def _draw(image: Any, nets: Nets) -> Any:
    return nets(NETWORK)(image)


DEPTH = Preprocessor(
    id="DepthAnythingPreprocessor",
    draw=_draw,
    nets=(NETWORK,),
    files=_files,
    words=("depth", "midas"),
    order=20,
)
