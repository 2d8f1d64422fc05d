"""Path templates."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swarm.base.paths import clean_output_path, is_hidden, under
from swarm.outputs.naming import candidates, hash_token, output_path, time_tokens

TOKENS = {
    **time_tokens(datetime(2026, 8, 1, 14, 5, 9, 87_654)),
    "request_time_inc": "001",
    "prompt": "a cat, sitting/lying; \\o/ <lora:x>",
    "model": "OfficialStableDiffusion/sd_xl_base_1.0",
    "negativeprompt": "",
    "cfgscale": "7.5",
}


def test_the_default_template() -> None:
    template = "raw/[year]-[month]-[day]/[hour][minute][request_time_inc]-[prompt]-[model]"
    assert (
        output_path(template, TOKENS)
        == "raw/2026-08-01/1405001-a cat, sittinglying o lorax-OfficialStableDiffusionsd_xl_base_10"
    )


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("[month_name] [day_name]", "August Saturday"),
        ("[second].[millisecond]", "09087"),
        ("[CFG Scale]", "75"),
        ("[whatever it is]", "[whatever it is]"),
        ("[generation_time]x[date]", "x"),
        ("[Negative Prompt]x", "x"),
        ("x-[number]", "x-1"),
        ("[]", "[]"),
        ("../../etc/[prompt]/", "etc/a cat, sittinglying o lorax"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("con/[model]", "con_/OfficialStableDiffusionsd_xl_base_10"),
    ],
)
def test_tokens(template: str, path: str) -> None:
    assert output_path(template, TOKENS) == path


def test_values_are_cut_before_they_are_cleaned() -> None:
    assert output_path("[prompt]", {"prompt": "//////////abc"}, max_part=11) == "a"


def test_a_value_cannot_smuggle_in_tokens_or_folders() -> None:
    tokens = {"prompt": "[model]/../../x", "model": "m"}
    assert output_path("raw/[prompt]", tokens) == "raw/[model]x"


def test_unsafe_templates_may_use_more_characters_and_still_do_not_climb() -> None:
    assert output_path("v1.0/x;y/../../[prompt]", {"prompt": "a.b"}, allow_unsafe=True) == "v1.0/xy/ab"


def test_names_that_a_url_would_decode_do_not_arise() -> None:
    assert output_path("[prompt]", {"prompt": "50% of %41, %%4141 and %2%4141"}) == "50% of 41, 4141 and 24141"


def test_the_counter_is_a_suffix_or_the_number() -> None:
    assert list(islice(candidates("x", {}), 4)) == ["x", "x-1", "x-2", "x-3"]
    assert list(islice(candidates("x[number]y", {}), 4)) == ["x1y", "x1y", "x2y", "x3y"]


def test_the_counter_survives_the_length_limit() -> None:
    paths = list(islice(candidates("[prompt]" * 10 + "[number]", {"prompt": "é" * 40}), 5))
    assert len(set(paths)) == 4
    assert all(len(part.encode()) <= 210 for path in paths for part in path.split("/"))


PIECES = st.sampled_from(
    ["/", ".", "..", "con", "%41", "é" * 60, " ", "[number]", "[prompt]", "x", ":", "\\", "\ud800"]
)
TEXTS = st.text() | st.lists(PIECES, max_size=40).map("".join)


@given(TEXTS, TEXTS, st.booleans())
@example("con.\ud800.", "", True)
def test_every_path_can_be_saved_and_found_again(template: str, prompt: str, unsafe: bool) -> None:
    path = output_path(template + "[prompt]", {"prompt": prompt}, allow_unsafe=unsafe)
    assert path and clean_output_path(path) == path and not is_hidden(path)
    under(Path("/"), f"{path}-1000000.webp")


def test_hashes_are_four_bytes_of_sha256() -> None:
    assert hash_token("a cat") == "51e46741"
