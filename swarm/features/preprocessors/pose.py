"""People's poses: found by DWPose's two networks, drawn as OpenPose draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.preprocessors.preprocessor import Nets, Preprocessor
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files
from swarm.media.pose import Person, Points, drawn_people

PEOPLE, KEYPOINTS = "people", "keypoints"
FILES = {PEOPLE: "yolox_l.onnx", KEYPOINTS: "dw-ll_ucoco_384.onnx"}
FOLDERS = ("annotators", "annotators/DWPose", "annotators/yzd-v/DWPose")
_SURE = 0.3
_PARTS = 133
"""COCO-WholeBody's: 17 of the body, 6 of the feet, 68 of the face, 21 of each hand."""
_FACE, _LEFT, _RIGHT = slice(23, 91), slice(91, 112), slice(112, 133)
_SHOULDERS = 5, 6
_BODY = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Where OpenPose's points are among COCO's, which have no neck."""
_EYES = 14, 15


def _files(files: Files) -> Mapping[str, ModelFile]:
    return {kind: _file(name, files) for kind, name in FILES.items()}


def _file(name: str, files: Files) -> ModelFile:
    found = next((file for place in FOLDERS if (file := files.beside(f"{place}/{name}")) is not None), None)
    if found is None:
        raise BadInput(
            f"Finding poses needs '{name}' of DWPose: put it into the models folder as '{FOLDERS[0]}/{name}', or give "
            "a picture of the pose itself and set the preprocessor to None."
        )
    return found


def person_of(parts: Sequence[Sequence[float]]) -> Person:
    """A person by COCO-WholeBody's 133 parts, each x, y and how sure; unsure ones are not seen. Raises BadInput for
    another number of parts."""
    if len(parts) != _PARTS:
        raise BadInput(f"The file '{FILES[KEYPOINTS]}' finds {len(parts)} parts of people instead of {_PARTS}.")
    seen: Points = tuple((x, y) if sure >= _SURE else None for x, y, sure in parts)
    one, other = (parts[number] for number in _SHOULDERS)
    both = one[2] > _SURE and other[2] > _SURE
    neck = ((one[0] + other[0]) / 2, (one[1] + other[1]) / 2) if both else None
    body = tuple(neck if number is None else seen[number] for number in _BODY)
    face, left, right = (part if any(part) else () for part in (seen[_FACE], seen[_LEFT], seen[_RIGHT]))
    eyes = tuple(body[number] for number in _EYES) if face else ()
    return Person(body=body, left_hand=left, right_hand=right, face=(*face, *eyes))


def _draw(image: Any, nets: Nets) -> Any:
    import torch

    people, keypoints = nets(PEOPLE), nets(KEYPOINTS)
    height, width = image.shape[-2:]
    found = [person_of(parts) for parts in keypoints(image, people(image)).tolist()]
    pixels = drawn_people(found, width, height)
    levels = torch.frombuffer(bytearray(pixels.data), dtype=torch.uint8).reshape(height, width, 3)
    return levels.permute(2, 0, 1)[None].float() / 255.0


DW_POSE = Preprocessor(id="DWPreprocessor", draw=_draw, nets=tuple(FILES), files=_files, words=("pose",), order=40)
OPEN_POSE = Preprocessor(id="OpenposePreprocessor", draw=_draw, nets=tuple(FILES), files=_files)
"""Another network draws the same in ComfyUI; requests that name it are served by DWPose's."""
