"""Poses in pictures: tiny networks as ONNX files, whose answers are known, from the files to the drawing."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from swarm.base.errors import BadInput
from swarm.engine.device import choose_device
from swarm.engine.networks.keypoints import Keypoints
from swarm.engine.networks.keypoints import load as load_keypoints
from swarm.engine.networks.people import People
from swarm.engine.networks.people import load as load_people
from swarm.features.controlnet import annotator, first_preprocessor
from swarm.features.controlnet_slots import CONTROLNET_PREPROCESSOR
from swarm.features.preprocessors.pose import DW_POSE, FOLDERS, KEYPOINTS, OPEN_POSE, PEOPLE, person_of
from swarm.jobs.job import ModelFile
from swarm.media.pose import COLOURS
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench
from tests.engine.test_controlnet import Shelf, controlled, file_of, picture
from tests.params.fixed_choices import CHOICES
from tests.support.onnx_files import Node, write_onnx

pytestmark = pytest.mark.torch
PLACES = 4 * 4 + 2 * 2 + 1
"""Of a detector that sees 32 × 32 pixels, in steps of 8, 16 and 32."""


def people_file(
    path: Path, found: Mapping[int, tuple[float, ...]], brightness: Mapping[int, float] | None = None
) -> Path:
    """A detector that answers every picture with `found` by place: x, y, log width, log height, sure, two kinds.

    `brightness`: how much of the mean level of what it is shown is added to x, by place.
    """
    answers, moved = np.zeros((2, 1, PLACES, 7), np.float32)
    for place, answer in found.items():
        answers[0, place] = answer
    for place, share in (brightness or {}).items():
        moved[0, place, 0] = share
    nodes = (
        Node(op="ReduceMean", inputs=("images",), output="mean", attributes={"axes": (1, 2, 3), "keepdims": 0}),
        Node(op="Mul", inputs=("mean", "moved"), output="more"),
        Node(op="Add", inputs=("more", "answers"), output="output"),
    )
    constants = {"answers": answers, "moved": moved}
    return write_onnx(path, entry=(1, 3, 32, 32), nodes=nodes, constants=constants, outputs={"output": (1, PLACES, 7)})


def brightest_file(path: Path, sure: np.ndarray) -> Path:
    """A pose network of 12 × 16 pixels that takes every part to be where it is brightest, as surely as `sure` times
    the brightness there."""
    spread = {name: np.zeros((side, 2 * side), np.float32) for name, side in (("wide", 12), ("high", 16))}
    for matrix in spread.values():
        matrix[np.arange(len(matrix)), 2 * np.arange(len(matrix))] = 1.0
    nodes = [
        node
        for name, axis, out in (("wide", 2, "simcc_x"), ("high", 3, "simcc_y"))
        for node in (
            Node(
                op="ReduceMax", inputs=("images",), output=f"{name} row", attributes={"axes": (1, axis), "keepdims": 0}
            ),
            Node(op="MatMul", inputs=(f"{name} row", name), output=f"{name} fine"),
            Node(op="Mul", inputs=(f"{name} fine", "sure"), output=out),
        )
    ]
    outputs = {"simcc_x": (1, len(sure), 24), "simcc_y": (1, len(sure), 32)}
    constants = {**spread, "sure": sure.astype(np.float32).reshape(1, -1, 1)}
    return write_onnx(path, entry=(1, 3, 16, 12), nodes=nodes, constants=constants, outputs=outputs)


def known_file(path: Path, parts: np.ndarray) -> Path:
    """A pose network of 12 × 16 pixels that finds parts (133, 4) where they are said to be: x and y in half pixels, and
    how sure it is of either."""
    across, down = np.zeros((1, 133, 24), np.float32), np.zeros((1, 133, 32), np.float32)
    for number, (x, y, sure_x, sure_y) in enumerate(parts):
        across[0, number, int(x)] = sure_x
        down[0, number, int(y)] = sure_y
    nodes = [
        Node(op="ReduceMean", inputs=("images",), output="mean", attributes={"axes": (1, 2, 3), "keepdims": 0}),
        Node(op="Mul", inputs=("mean", "zero"), output="nothing"),
        Node(op="Add", inputs=("across", "nothing"), output="simcc_x"),
        Node(op="Add", inputs=("down", "nothing"), output="simcc_y"),
    ]
    outputs = {"simcc_x": (1, 133, 24), "simcc_y": (1, 133, 32)}
    constants = {"across": across, "down": down, "zero": np.zeros(1, np.float32)}
    return write_onnx(path, entry=(1, 3, 16, 12), nodes=nodes, constants=constants, outputs=outputs)


def people(path: Path) -> People:
    return load_people(file_of(path), choose_device(0, "auto"))


def keypoints(path: Path) -> Keypoints:
    return load_keypoints(file_of(path), choose_device(0, "auto"))


def test_people_are_found_once_in_the_pictures_own_pixels(path: Path) -> None:
    found = {
        # Step 8, the third row's second place: (1.5 · 8, 2.25 · 8), 8 wide and 16 high, in a picture at a third.
        9: (0.5, 0.25, 0.0, log(2), 0.9, 0.8, 0.0),
        # Step 16, the second row's first place: the same box, less surely.
        18: (0.75, 0.125, log(0.5), 0.0, 0.7, 0.9, 0.0),
        # Step 32: (0.75 · 32, 0.25 · 32), 8 by 8.
        20: (0.75, 0.25, log(0.25), log(0.25), 0.8, 0.5, 0.0),
        # Too unsure; and no person.
        3: (0.5, 0.5, 0.0, 0.0, 0.5, 0.59, 0.0),
        0: (0.5, 0.5, 0.0, 0.0, 0.9, 0.1, 0.9),
    }
    boxes = people(people_file(path / "p.onnx", found))(torch.rand(1, 3, 64, 96))
    assert torch.allclose(boxes, torch.tensor([[24.0, 30, 48, 78], [60, 12, 84, 36]]), atol=1e-3)


def test_neighbours_stay_where_they_share_little(path: Path) -> None:
    side = (0.0, 0.0)
    found = {
        9: (0.5, 0.5, *side, 0.9, 0.9, 0.0),
        10: (-0.1, 0.5, *side, 0.9, 0.8, 0.0),
        11: (0.5, 0.5, *side, 0.9, 0.7, 0.0),
    }
    # 8 by 8 pixels each, at 12, 15.2 and 28 from the left. The second shares (8 - 3.2 + 1) · 9 pixels with the first,
    # 0.475 of all that both cover.
    boxes = people(people_file(path / "p.onnx", found))(torch.rand(1, 3, 32, 32))
    assert boxes[:, 0].tolist() == pytest.approx([8, 24])


def test_the_detector_sees_levels_in_a_gray_square(path: Path) -> None:
    file = people_file(path / "p.onnx", {9: (0, 0.5, 0, 0, 1, 1, 0)}, {9: 0.01})
    # White, 32 by 21 pixels of 32 by 32; the rest is 114.
    mean = (21 * 255 + 11 * 114) / 32
    (box,) = people(file)(torch.ones(1, 3, 64, 96))
    assert float(box[0] + box[2]) / 2 == pytest.approx((1 + 0.01 * mean) * 8 * 3, abs=1e-2)


@pytest.mark.parametrize(
    ("box", "dot"),
    [
        # 12 by 16 pixels, a quarter more than the box, lie pixel by pixel in the network's 12 by 16.
        ((15.2, 13.6, 24.8, 26.4), (19, 22)),
        # A wide box: 24 by 32 pixels about (20, 20), every second of them.
        ((10.4, 16.0, 29.6, 24.0), (18, 24)),
        # A high one: 24 by 32 as well.
        ((18.0, 7.2, 22.0, 32.8), (24, 10)),
        # At the picture's corner, half of what is seen is beyond it.
        ((-4.8, -6.4, 4.8, 6.4), (3, 5)),
    ],
)
def test_parts_are_found_in_the_pictures_own_pixels(path: Path, box: tuple[float, ...], dot: tuple[int, int]) -> None:
    image = torch.zeros(1, 3, 40, 44)
    image[..., dot[1], dot[0]] = 1.0
    found = keypoints(brightest_file(path / "k.onnx", np.full(133, 0.3)))(image, torch.tensor([box]))
    assert found.shape == (1, 133, 3)
    # White is most in the third channel: (255 - 103.53) / 57.375.
    expected = torch.tensor([*dot, 0.3 * (255 - 103.53) / 57.375])
    assert torch.allclose(found[0], expected.expand(133, 3), atol=1e-4)


def test_a_part_is_as_sure_as_its_less_sure_axis(path: Path) -> None:
    parts = np.full((133, 4), (5, 7, 0.9, 0.4))
    parts[1] = (5, 7, 0.2, 0.8)
    net = keypoints(known_file(path / "k.onnx", parts))
    found = net(torch.rand(1, 3, 40, 40), torch.tensor([[15.2, 13.6, 24.8, 26.4]]))
    assert found[0, :3].flatten().tolist() == pytest.approx([16.5, 15.5, 0.4, 16.5, 15.5, 0.2, 16.5, 15.5, 0.4])
    assert net(torch.zeros(1, 3, 8, 8), torch.zeros(0, 4)).numel() == 0


def test_openpose_counts_other_parts_than_coco() -> None:
    parts = [[float(number), 1000.0 + number, 0.9] for number in range(133)]
    person = person_of(parts)
    order = [0, 5.5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert [point and point[0] for point in person.body] == order
    assert person.body[1] == (5.5, 1005.5)
    assert [len(each) for each in (person.left_hand, person.right_hand, person.face)] == [21, 21, 70]
    assert (person.left_hand[0], person.right_hand[20], person.face[0]) == ((91, 1091), (132, 1132), (23, 1023))
    # The eyes are said twice.
    assert person.face[-2:] == ((2, 1002), (1, 1001))


def test_unsure_parts_are_not_seen() -> None:
    parts = [[1.0, 1.0, 0.29] for _ in range(133)]
    parts[6] = [1.0, 1.0, 0.9]
    person = person_of(parts)
    assert [number for number, point in enumerate(person.body) if point] == [2]
    assert person.left_hand == person.right_hand == person.face == ()
    with pytest.raises(BadInput, match="finds 17 parts of people instead of 133"):
        person_of(parts[:17])


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    """A person of 9.6 by 12.8 pixels in the middle of 64 by 64, of whom shoulders, neck and a wrist are seen."""
    folder = tmp_path_factory.mktemp("pose")
    # Half of the picture's size: 4.8 by 6.4 pixels about (16, 16), of step 16.
    one = {19: (0.0, 0.0, log(0.3), log(0.4), 1.0, 1.0, 0.0)}
    parts = np.full((133, 4), (0, 0, 0.1, 0.1))
    # Seen from (26, 24) on, pixel by pixel: shoulders at (36, 28) and (28, 28), a wrist at (28, 38).
    parts[5], parts[6], parts[10] = (20, 8, 1, 1), (4, 8, 1, 1), (4, 28, 0.5, 0.5)
    people_path, nobody_path = people_file(folder / "yolox_l.onnx", one), people_file(folder / "nobody.onnx", {})
    pose_path = known_file(folder / "dw-ll_ucoco_384.onnx", parts)
    made = {PEOPLE: people_path, KEYPOINTS: pose_path, "nobody": nobody_path}
    return {kind: file_of(path) for kind, path in made.items()}


def asked(networks: Mapping[str, ModelFile], **more: Any) -> dict[str, Any]:
    files = {annotator(kind): networks[kind] for kind in (PEOPLE, KEYPOINTS)}
    values = controlled(file_of(Path("pose.safetensors")), controlnetpreviewonly=True)
    return {**values, "controlnetpreprocessor": DW_POSE.id, "files": files, **more}


@pytest.mark.parametrize("preprocessor", [DW_POSE.id, OPEN_POSE.id, None])
def test_a_pose_is_drawn(
    bench: Bench, files: Mapping[str, ModelFile], networks: Mapping[str, ModelFile], preprocessor: str | None
) -> None:
    values = asked(networks, controlnetpreprocessor=preprocessor)
    if preprocessor is None:
        del values["controlnetpreprocessor"]
    made = bench.picture(files[SD], 3, **values)

    def at(x: int, y: int) -> tuple[int, ...]:
        return tuple(int(level) for level in made[y, x])

    # The neck, between the shoulders, is drawn before them, and the wrist after them; no elbow, so no arm.
    assert (at(28, 28), at(36, 28), at(28, 38)) == (COLOURS[2], COLOURS[5], COLOURS[4])
    assert at(32, 25) == COLOURS[1]
    assert at(28, 33) == (0, 0, 0)
    # Nothing else: the line of the shoulders, four pixels to all sides, and the wrist.
    drawn = made.any(dim=-1)
    assert drawn[24:33, 24:41].sum() + drawn[34:43, 24:33].sum() == drawn.sum()


def test_what_pictures_are_shown_alike_is_drawn_once(
    bench: Bench, files: Mapping[str, ModelFile], networks: Mapping[str, ModelFile]
) -> None:
    made: list[int] = []
    errands = bench.models.errands

    def drawn() -> int:
        made.append(1)
        return len(made)

    assert [errands.remembered(("a", number), drawn) for number in (1, 2, 1)] == [1, 2, 1]
    errands.drop()
    first = bench.picture(files[SD], 3, **asked(networks))
    kept = list(errands._results)
    assert torch.equal(bench.picture(files[SD], 4, **asked(networks)), first)
    assert list(errands._results) == kept and len(kept) == 1
    bench.picture(files[SD], 3, **asked(networks, controlnetimageinput=picture(9)))
    bench.picture(files[SD], 3, **asked(networks, width=128))
    assert len(errands._results) == 3


def test_nobody_is_a_black_picture(
    bench: Bench, files: Mapping[str, ModelFile], networks: Mapping[str, ModelFile]
) -> None:
    values = asked({**networks, PEOPLE: networks["nobody"]})
    assert not bench.picture(files[SD], 3, **values).any()


def test_files_that_are_something_else_are_refused(path: Path, networks: Mapping[str, ModelFile]) -> None:
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"'dw-ll_ucoco_384\.onnx' is no YOLOX network"):
        load_people(networks[KEYPOINTS], device)
    with pytest.raises(BadInput, match=r"'yolox_l\.onnx' is no RTMPose network"):
        load_keypoints(networks[PEOPLE], device)
    square = write_onnx(
        path / "square.onnx",
        entry=(1, 3, 32, 32),
        nodes=[Node(op="ReduceMean", inputs=("images",), output="mean", attributes={"axes": (1,), "keepdims": 0})],
        constants={},
        outputs={"mean": (1, 32, 32)},
    )
    with pytest.raises(BadInput, match=r"'square\.onnx' is no YOLOX network"):
        people(square)(torch.rand(1, 3, 32, 32))


def test_missing_files_are_named(files: Mapping[str, ModelFile]) -> None:
    values = {"controlnetstrength": 1.0, "controlnetmodel": "control_v11p_sd15_openpose", "initimage": picture()}

    def found(shelf: Any, **more: Any) -> Mapping[str, ModelFile]:
        return first_preprocessor.find(GenerationInput({**values, **more}), files[SD], shelf).files

    with pytest.raises(BadInput, match=r"put it into the models folder as 'annotators/yolox_l\.onnx'"):
        found(Shelf())
    with pytest.raises(BadInput, match=r"'annotators/dw-ll_ucoco_384\.onnx', or give a picture of the pose itself"):
        found(Shelf("annotators/yolox_l.onnx"), controlnetpreprocessor=OPEN_POSE.id)
    places = found(Shelf(f"{FOLDERS[1]}/yolox_l.onnx", f"{FOLDERS[2]}/dw-ll_ucoco_384.onnx"))
    assert {key: str(file.path) for key, file in places.items()} == {
        annotator(PEOPLE): "annotators/DWPose/yolox_l.onnx",
        annotator(KEYPOINTS): "annotators/yzd-v/DWPose/dw-ll_ucoco_384.onnx",
    }


def test_preprocessors_are_listed_by_the_names_of_comfyuis_nodes() -> None:
    options = [value for value, _ in CONTROLNET_PREPROCESSOR.options(CHOICES) or ()]
    assert options == [
        "None", "CannyEdgePreprocessor", "DWPreprocessor", "DepthAnythingPreprocessor", "OpenposePreprocessor",
        "ScribblePreprocessor",
    ]  # fmt: skip
