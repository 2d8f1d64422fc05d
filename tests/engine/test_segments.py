"""Segments: what is found by words or by a detector is drawn anew, made transparent, or left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from swarm.base.errors import BadInput
from swarm.engine.device import choose_device
from swarm.engine.networks.detector import Detector
from swarm.engine.networks.words import load
from swarm.engine.networks.yolo import Fitted, findings
from swarm.features.found_areas import by_words, files_for, found_area
from swarm.features.mask_images import Box, bounds, spread
from swarm.features.segment_params import target_resolution
from swarm.features.segments import finders, segment_input, segment_steps
from swarm.jobs.events import ImageDone, StepDone
from swarm.jobs.job import ModelFile
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from swarm.prompt.matchers import TextMatch, YoloMatch
from swarm.prompt.sections import Segment, split_sections
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
TOWER = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SMALL = {
    "text_config": TOWER,
    "vision_config": {**TOWER, "patch_size": 32, "image_size": 64},
    "projection_dim": 16,
    "reduce_dim": 8,
    "extract_layers": [0, 1, 2],
    "decoder_intermediate_size": 16,
    "decoder_num_attention_heads": 2,
}
SEEN = "a fox <segment:eye,0.5,0.0//cid=11> a blue eye"


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A small CLIPSeg with random weights, in the published layout."""
    folder = tmp_path_factory.mktemp("clipseg")
    torch.manual_seed(4)
    net = CLIPSegForImageSegmentation(CLIPSegConfig(**SMALL))
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(SMALL))
    return ModelFile(name="clipseg", path=folder / "model.safetensors", family=None, stamp="1")


def made(bench: Bench, model: ModelFile, finder: ModelFile | None, **values: Any) -> list[Pixels]:
    """Every picture of a job, extras first."""
    id = bench.submit(model, (3,), **values, files={"words": finder} if finder else {})
    bench.finish()
    results = [event.result for event in bench.events(id) if isinstance(event, ImageDone)]
    assert results, bench.said.get(id)
    return [result for result in results if isinstance(result, Pixels)]


def test_words_find_places_the_same_way_each_time(clipseg: ModelFile) -> None:
    words = load(clipseg, choose_device(0, "float32"))
    image = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    seen = words(image, "a face")
    assert seen.shape == (1, 1, 352, 352)
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    assert torch.equal(words(image, "a face"), seen)
    assert not torch.equal(words(image, "the sky above the port"), seen)


def test_a_file_without_config_is_read_by_its_shapes(clipseg: ModelFile, path: Path) -> None:
    torch.manual_seed(4)
    wide = {"hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 10, "num_attention_heads": 1}
    config = {**SMALL, "text_config": {**TOWER, "hidden_size": 64, "num_attention_heads": 1}, "vision_config":
              {**wide, "patch_size": 16, "image_size": 64}, "extract_layers": [3, 6, 9],
              "decoder_num_attention_heads": 4, "use_complex_transposed_convolution": True}  # fmt: skip
    net = CLIPSegForImageSegmentation(CLIPSegConfig(**config))
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, path / "bare.safetensors")
    bare = load(ModelFile(name="b", path=path / "bare.safetensors", family=None, stamp="1"), choose_device(0, "auto"))
    assert bare(torch.rand(1, 3, 40, 40), "eye").shape == (1, 1, 352, 352)
    save_file({"a": torch.zeros(1)}, path / "none.safetensors")
    with pytest.raises(BadInput, match="no CLIPSeg"):
        load(ModelFile(name="n", path=path / "none.safetensors", family=None, stamp="1"), choose_device(0, "auto"))


def test_a_segment_is_drawn_anew_and_its_steps_are_counted(
    bench: Bench, files: Mapping[str, ModelFile], clipseg: ModelFile
) -> None:
    plain = made(bench, files[SD], None, steps=4)[-1]
    id = bench.submit(files[SD], (3,), prompt=SEEN, steps=4, files={"words": clipseg})
    bench.finish()
    assert (bench.pixels(id).flatten() - torch.tensor(list(plain.data))).abs().max() > 1.0
    steps = [event for event in bench.events(id) if isinstance(event, StepDone)]
    assert (steps[-1].done, steps[-1].total) == (6, 6)


def test_masks_and_the_picture_before_can_be_had_too(
    bench: Bench, files: Mapping[str, ModelFile], clipseg: ModelFile
) -> None:
    values = {"prompt": SEEN, "savesegmentmask": True, "outputintermediateimages": True}
    before, mask, last = made(bench, files[SD], clipseg, **values)
    plain = made(bench, files[SD], None)[-1]
    assert before == plain
    assert mask.data[0::3] == mask.data[1::3] == mask.data[2::3]
    assert len(set(mask.data)) > 1
    assert last != before


def test_what_is_not_found_is_not_drawn(bench: Bench, files: Mapping[str, ModelFile], clipseg: ModelFile) -> None:
    plain = made(bench, files[SD], None)[-1]
    assert made(bench, files[SD], clipseg, prompt="a fox <segment:eye,0.5,1//cid=11> a blue eye") == [plain]
    assert made(bench, files[SD], clipseg, prompt="a fox <segment:eye,0,0.1//cid=11> a blue eye") == [plain]


def test_segments_may_come_before_the_refine_stage(
    bench: Bench, files: Mapping[str, ModelFile], clipseg: ModelFile
) -> None:
    refine = {"refinermethod": "PostApply", "refinercontrolpercentage": 0.5, "prompt": SEEN}
    after = made(bench, files[SD], clipseg, **refine)[-1]
    assert made(bench, files[SD], clipseg, **refine, segmentapplyafter="Base")[-1] != after


def test_cleared_areas_are_transparent(bench: Bench, files: Mapping[str, ModelFile], clipseg: ModelFile) -> None:
    plain = made(bench, files[SD], None)[-1]
    clear = made(bench, files[SD], clipseg, prompt="a fox <clear:sky,0//cid=11>")[-1]
    assert clear.mode == "RGBA"
    colours = bytes(value for place, value in enumerate(clear.data) if place % 4 < 3)
    assert colours == plain.data
    assert len(set(clear.data[3::4])) > 1


def test_certainty_becomes_a_mask() -> None:
    seen = torch.tensor([[[[0.1, 0.4], [0.6, 0.9]]]])
    mask = by_words(seen, Segment(match="x", creativity=1, threshold=-0.5), torch.zeros(1, 3, 2, 2))
    assert torch.allclose(mask, torch.tensor([[[[0.0, 0.0], [0.6 / 0.9, 1.0]]]]))
    assert torch.equal(spread(torch.tensor([0.0, 0.25, 0.5, 1.0]), 0.0, 0.5), torch.tensor([0.0, 0.5, 1.0, 1.0]))
    assert spread(torch.tensor([0.5]), 0.01, 0.0).item() == 1.0


def test_where_areas_are_drawn() -> None:
    mask = torch.zeros(1, 1, 60, 100)
    mask[..., 10:20, 10:30] = 1.0
    assert bounds(mask, 0, 1.0) == Box(10, 5, 20, 20)
    assert bounds(mask, 10, 0.5) == Box(0, 0, 40, 60)
    assert bounds(mask, 0, 8.0) == Box(0, 10, 80, 10)
    assert target_resolution(GenerationInput({"segmenttargetresolution": "640x512"})) == (640, 512)
    assert target_resolution(GenerationInput()) is None
    with pytest.raises(BadInput, match="1024x1024"):
        target_resolution(GenerationInput({"segmenttargetresolution": "huge"}))


def test_a_segment_reads_its_own_section_first() -> None:
    (segment,) = split_sections(SEEN).segments
    asked = GenerationInput(
        {"prompt": SEEN, "negativeprompt": "fog <segment:eye//cid=11> red", "steps": 20, "cfgscale": 7.0,
         "refinersteps": 30, "refinercfgscale": 5.0, "sampler": "euler"},
        sections={11: {"sampler": "heun"}},
    )  # fmt: skip
    read = segment_input(asked, segment).values
    assert (read["steps"], read["cfgscale"], read["sampler"]) == (30, 5.0, "heun")
    assert (read["prompt"], read["negativeprompt"]) == ("a blue eye", "red")
    own = GenerationInput({**asked.values, "segmentsteps": 12, "segmentcfgscale": 2.0}, sections={11: {"steps": 9}})
    assert segment_steps(own, segment) == 9
    assert segment_input(own, segment).values["cfgscale"] == 2.0


class Shelf:
    """Files at hand: exactly these."""

    def __init__(self, *names: str) -> None:
        self.has = names

    def beside(self, relative: str) -> ModelFile | None:
        found = ModelFile(name=relative, path=Path(relative), family=None, stamp="1")
        return found if relative in self.has else None


def test_missing_finders_are_named_with_their_place() -> None:
    empty: Any = Shelf()
    with pytest.raises(BadInput, match=r"clipseg-rd64-refined\.safetensors.*folder 'clipseg'"):
        finders.find(GenerationInput({"prompt": SEEN}), None, empty)
    assert not finders.find(GenerationInput({"prompt": "a fox"}), None, empty).files
    with pytest.raises(BadInput, match="folder 'yolov8'"):
        files_for(YoloMatch(model="face.pt"), empty)
    pickled: Any = Shelf("yolov8/face.pt")
    with pytest.raises(BadInput, match=r"pickled.*face\.onnx"):
        files_for(YoloMatch(model="face.pt"), pickled)
    with pytest.raises(BadInput, match="not there"):
        files_for(YoloMatch(model="../../secret"), Shelf("yolov8/../../secret.onnx"))  # type: ignore[arg-type]
    full: Any = Shelf("yolov8/face.onnx", "clipseg/model.safetensors")
    assert set(files_for(YoloMatch(model="face.pt"), full)) == {"detector:face.pt"}
    assert files_for(TextMatch(text="x"), full)["words"].name == "clipseg/model.safetensors"


class Session:
    """Answers like an exported YOLOv8: three findings in a square of 64, of which two are nearly one."""

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="images", shape=[1, 3, 64, 64])]

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={"names": "{0: 'face', 1: 'hand'}"})

    def run(self, _names: None, feeds: Mapping[str, Any]) -> list[Any]:
        assert feeds["images"].shape == (1, 3, 64, 64)
        columns = [[16, 32, 16, 16, 0.9, 0.0], [16, 33, 16, 16, 0.8, 0.0], [48, 32, 8, 8, 0.0, 0.3]]
        return [torch.tensor(columns).T[None].numpy()]


def test_a_detectors_findings_are_counted_and_chosen() -> None:
    image = torch.rand(1, 3, 64, 128)
    found = Detector(Session())(image, 0.25)
    assert [(one.name, one.kind) for one in found] == [("face", 0), ("hand", 1)]
    assert found[0].box == (16.0, 16.0, 48.0, 48.0)
    assert float(found[0].mask.sum()) == 32 * 32
    assert len(Detector(Session())(image, 0.5)) == 1

    tools: Any = SimpleNamespace(network=lambda kind, file: Detector(Session()))
    files: Any = {"detector:m": None}

    def area(match: str, threshold: float = 0.25, order: str = "left-right") -> float:
        segment = Segment(match=match, creativity=1, threshold=threshold)
        return float(found_area(tools, image, segment, files, order).sum())

    assert area("yolo-m") == 32 * 32 + 16 * 16
    assert area("yolo-m-1") == 32 * 32
    assert area("yolo-m-1", order="right-left") == area("yolo-m-1", order="smallest-largest") == 16 * 16
    assert area("yolo-m-3") == 0
    assert area("yolo-m:hand:") == area("yolo-m:1:") == 16 * 16
    assert area("yolo-m", 1.0) == area("yolo-m")


def test_shapes_narrow_boxes_down() -> None:
    found = torch.tensor([[32.0, 32.0, 32.0, 32.0, 0.9, 1.0]]).T
    shapes = torch.full((1, 16, 16), -1.0)
    shapes[:, :8] = 1.0
    (one,) = findings(found, shapes, Fitted(side=64, width=64, height=64), 0.5, {})
    assert 32 * 14 <= float(one.mask.sum()) <= 32 * 18
