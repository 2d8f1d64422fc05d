from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.base.errors import BadInput
from swarm.base.json import Json
from swarm.params.metadata import metadata_text, parse_metadata, preview_metadata_text
from tests.params.fixed_choices import PARAMS, parsed

TEXTS = st.text(alphabet=st.characters(codec="utf-8")).filter(lambda text: "{value}" not in text)
DECIMALS = st.floats(0, 1, allow_nan=False)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "prompt": TEXTS,
        "negativeprompt": TEXTS,
        "personalnote": TEXTS,
        "seed": st.integers(-1, 2**63 - 1),
        "steps": st.integers(0, 500),
        "cfgscale": st.floats(0, 100, allow_nan=False),
        "images": st.integers(1, 10000),
        "width": st.integers(64, 16384),
        "aspectratio": st.sampled_from(["1:1", "16:9", "Custom"]),
        "sampler": st.sampled_from(["euler", "dpmpp_2m"]),
        "zeronegative": st.booleans(),
        "initimage": st.just("inputs/cat.png"),
        "initimagecreativity": DECIMALS,
        "initimagenoise": DECIMALS,
        "samplersigmamax": st.floats(0, 1000, allow_nan=False),
        "model": st.sampled_from(["tiny", "folder model", "Official/sd_xl_base_1.0"]),
        "loras": st.lists(st.sampled_from(["ink", "Zoo/cat"])),
        "loraweights": st.lists(st.floats(-10, 10, allow_nan=False)),
        "rawresolution": st.just("640x480"),
        "sectionparams": st.dictionaries(
            st.integers(1, 99).map(str),
            st.fixed_dictionaries({"steps": st.integers(0, 500)}, optional={"sampler": st.just("euler")}),
            max_size=3,
        ),
    },
)


@given(REQUESTS)
def test_what_metadata_says_gives_the_same_input_again(raw: dict[str, Any]) -> None:
    input = parsed(raw)
    text = metadata_text(input, PARAMS, extra={}, models=[], version="1.0")
    assert text.isascii()
    again = parsed(parse_metadata(text).params)
    assert again == input
    assert [key for key in again if key != "negativeprompt"] == [key for key in input if key != "negativeprompt"]


def test_metadata_text_is_written_as_swarm_writes_it() -> None:
    raw: dict[str, Json] = {
        "prompt": "ein Bär",
        "model": "sd_xl",
        "images": 2,
        "cfgscale": 7,
        "donotsave": True,
        "loras": "ink",
    }
    input = parsed({**raw, "forwardswarmdata": True}).noting("presets_used", ["x"])
    text = metadata_text(
        input,
        PARAMS,
        extra={"date": "2026-08-01", "prep_time": "6.11 sec"},
        models=[{"name": "ink.safetensors", "param": "loras", "hash": None}],
        version="1.2",
    )
    assert (
        text
        == """{
  "sui_image_params": {
    "prompt": "ein B\\u00e4r",
    "negativeprompt": "",
    "model": "Official/sd_xl_base_1.0",
    "images": 2,
    "cfgscale": 7.0,
    "donotsave": true,
    "loras": [
      "ink"
    ],
    "swarm_version": "1.2"
  },
  "sui_extra_data": {
    "date": "2026-08-01",
    "presets_used": [
      "x"
    ],
    "prep_time": "6.11 sec"
  },
  "sui_models": [
    {
      "name": "ink.safetensors",
      "param": "loras",
      "hash": null
    }
  ]
}"""
    )


def test_unused_parameters_are_named_instead_of_recorded() -> None:
    input = parsed({"steps": 3, "width": 64, "sampler": "euler"})
    text = metadata_text(input, PARAMS, extra={}, models=[], version="1", unused={"sampler", "width", "seed"})
    body = json.loads(text)
    assert list(body["sui_image_params"]) == ["steps", "width", "negativeprompt", "swarm_version"]
    assert body["sui_extra_data"] == {"unused_parameters": ["sampler"]}


def test_a_previews_metadata_says_that_it_is_one() -> None:
    text = preview_metadata_text(
        parsed({"prompt": "a", "donotsave": True, "exactbackendid": 0}), PARAMS, extra={}, models=[], version="1"
    )
    assert json.loads(text)["sui_image_params"] == {
        "prompt": "a",
        "negativeprompt": "",
        "is_preview": True,
        "preview_notice": "Image is not done generating",
        "swarm_version": "1",
    }
    assert "is_preview" not in parse_metadata(text).params


def test_texts_in_place_of_numbers_and_lists_are_read() -> None:
    recorded = parse_metadata('{"sui_image_params": {"steps": "12", "loras": "ink,cat", "swarm_version": "0.6"}}')
    assert recorded.version == "0.6"
    assert parsed(recorded.params).values == {"steps": 12, "loras": ("ink", "Zoo/cat")}


@pytest.mark.parametrize("text", ["", "steps: 20", "[]", "{}", '{"sui_image_params": 3}'])
def test_other_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadInput):
        parse_metadata(text)
