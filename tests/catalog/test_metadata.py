from __future__ import annotations

from typing import Any

import pytest

from swarm.architectures.header import Header, TensorInfo
from swarm.catalog.metadata import describe, embedded_preview, merged
from swarm.catalog.model import ModelInfo


def described(
    metadata: dict[str, str] | None = None, *sidecars: dict[str, Any], name: str = "f/x.safetensors"
) -> ModelInfo:
    header = Header({}, metadata or {}, name)
    return describe(header, merged(header, sidecars), sidecars, None)


def test_the_file_name_is_the_last_resort_for_a_title() -> None:
    assert described().title == "x"
    assert described({"title": "bare", "modelspec.title": "spec"}).title == "spec"
    assert described({"title": "bare", "modelspec.title": "  "}).title == "bare"
    assert described({}, {"model": {"name": "theirs"}}).title == "theirs"
    assert described({}, {"UserTitle": "mine", "name": "other"}).title == "mine"


def test_later_sidecars_override_earlier_ones_and_the_header() -> None:
    assert described({"author": "a"}, {"author": "b"}, {"author": "c"}).author == "c"


def test_other_tools_descriptions_are_gathered() -> None:
    assert described({}, {"VersionName": "v2", "ModelDescription": "<p>nice</p>"}).description == "v2\n<p>nice</p>\n"
    assert described({"modelspec.description": "own"}, {"VersionName": "v2"}).description == "own"


def test_long_texts_are_cut_with_dots() -> None:
    title = described({"modelspec.title": "t" * 5000}).title
    assert title is not None
    assert len(title) == 4096
    assert title.endswith("t...")


@pytest.mark.parametrize(
    ("sidecar", "phrase"),
    [
        ({"trainedWords": ["a", "b", "a"]}, "a, b"),
        ({"TrainedWords": "x, y"}, "x, y"),
        ({"ss_tag_frequency": '{"set": {"cat": 3, "dog": 1}}'}, "cat, dog"),
        ({"ss_tag_frequency": "{not json"}, None),
        ({"activation text": "say this"}, "say this"),
        ({"trainedWords": ["a"], "trigger_phrase": ""}, ""),
        ({"trainedWords": ["a"], "modelspec.trigger_phrase": "said"}, "said"),
        ({}, None),
        ({"trainedWords": 5, "activation text": 6}, None),
    ],
)
def test_trigger_phrases(sidecar: dict[str, Any], phrase: str | None) -> None:
    assert described({}, sidecar).trigger_phrase == phrase


def test_sizes_are_read_and_nonsense_is_not() -> None:
    info = described({"modelspec.resolution": "832x1216"})
    assert (info.width, info.height) == (832, 1216)
    info = described({"resolution": "wide", "standard_width": "640", "standard_height": "-1"})
    assert (info.width, info.height) == (640, 0)


def test_tags_come_as_list_or_text() -> None:
    assert described({"modelspec.tags": "a, b,,"}).tags == ("a", "b")
    assert described({}, {"modelspec.tags": ["a", 5, "b"]}).tags == ("a", "b")
    assert described({"tags": "a"}).tags is None
    tags = described({"modelspec.tags": ",".join("abc" for _ in range(500))}).tags
    assert tags is not None
    assert len(tags) == 128


def test_only_real_pictures_are_previews() -> None:
    assert embedded_preview({"thumbnail": "data:image/png;base64,AA"}) == "data:image/png;base64,AA"
    assert embedded_preview({"preview_image": "https://elsewhere/x.png"}) is None
    assert embedded_preview({"preview_image": "data:image/png," + "A" * 9_000_000}) is None
    assert embedded_preview({"preview_image": 5}) is None


def test_special_formats_are_told_by_tensor_names() -> None:
    header = Header({"a.weight": TensorInfo("F8", (1,)), "a.scale_weight": TensorInfo("F32", ())}, {}, "x.safetensors")
    assert describe(header, {}, [], None).special_format == "fp8_scaled"
    assert described(name="x.gguf").special_format == "gguf"
    assert described().special_format == ""


def test_a_nunchaku_folder_gives_its_file_a_title() -> None:
    tensors = {"transformer_blocks.0.mlp_context_fc1.wscales": TensorInfo("F16", (1,))}
    header = Header(tensors, {}, "flux/svdq-int4/transformer_blocks.safetensors")
    info = describe(header, {}, (), None)
    assert (info.title, info.special_format) == ("svdq-int4", "nunchaku")
    assert describe(Header({}, {}, "a/transformer_blocks.safetensors"), {}, (), None).title == "transformer_blocks"
