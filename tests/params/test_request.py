from __future__ import annotations

import logging
from types import MappingProxyType

import pytest

from swarm.base.errors import BadInput
from swarm.base.json import Json
from swarm.features.core import NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.params.request import edited, parse_request, required_flags, text_form
from tests.params.fixed_choices import CHOICES, PARAMS, everything, parsed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (True, "True"),
        (None, ""),
        (["a", 1.0, [True]], "a\n|||\n1\n|||\nTrue"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
)
def test_json_values_become_text(value: Json, text: str) -> None:
    assert text_form(value) == text


def test_unknown_keys_are_ignored_with_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert parsed({"session_id": "x", "style_preset": "a\nb", "steps": 3}).values == {"steps": 3}
    assert "1 unknown parameters" in caplog.text
    assert "\n" not in caplog.messages[0]


def test_a_null_model_and_null_prompts_do_not_fail() -> None:
    assert parsed({"model": None, "negativePrompt": None, "prompt": None, "initimage": None}).values == {"prompt": ""}


def test_presets_come_after_direct_keys_and_may_wrap_prompts() -> None:
    presets = {"Cinema": {"prompt": "film of {value}, grain", "steps": "30", "unheard": "1"}}
    input = parse_request(
        {"presets": ["cinema", "other"], "prompt": "a cat <segment:face> eyes", "steps": 5},
        params=PARAMS,
        choices=CHOICES,
        permits=everything,
        presets=presets,
    )
    assert input.get(STEPS) == 30
    assert input.get(PROMPT) == "film of a cat, grain <segment:face> eyes"
    assert input.extra["presets_used"] == ["cinema", "other"]


def test_value_stands_for_the_text_before() -> None:
    assert edited("new", "old") == "new"
    assert edited("{value}, {value}", "old") == "old, old"


def test_extra_metadata_keeps_lists_and_turns_the_rest_into_text() -> None:
    extra = parsed({"extra_metadata": {"used": ["a", 1], "size": 7.0, "deep": {"a": 1}}}).extra
    assert extra == {"used": ["a", 1], "size": "7", "deep": '{"a":1}'}
    assert parsed({"extra_metadata": "x"}).extra == {}


def test_deep_nesting_is_refused_with_a_sentence() -> None:
    deep: Json = 1
    for _ in range(900):
        deep = [deep]
    for key in ("prompt", "extra_metadata", "unknown"):
        with pytest.raises(BadInput, match="nested more than 64 levels"):
            parsed({key: {"a": deep}})


def test_the_order_of_values_is_the_order_of_keys() -> None:
    assert list(parsed({"steps": 1, "prompt": "a", "negativeprompt": "b"})) == ["steps", "prompt", "negativeprompt"]


def test_values_cannot_be_changed_in_place() -> None:
    values = parsed({"steps": 1}).values
    assert isinstance(values, MappingProxyType)


def test_flagged_parameters_ask_for_backends_with_that_feature() -> None:
    assert required_flags(parsed({"sampler": "euler", "variationseed": 1}), PARAMS) == {"comfyui", "variation_seed"}
    assert required_flags(parsed({"prompt": "a"}), PARAMS) == frozenset()


def test_a_request_may_say_nothing() -> None:
    input = parsed({})
    assert (input.get(STEPS), input.given(STEPS), input.get(NEGATIVE_PROMPT)) == (20, None, "")
