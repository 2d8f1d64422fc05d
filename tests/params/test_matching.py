from __future__ import annotations

import pytest

from swarm.params.matching import best_match, best_model

MODELS = [
    "OfficialStableDiffusion/sd_xl_base_1.0.safetensors",
    "OfficialStableDiffusion/sd_xl_base_1.0_turbo.safetensors",
    "a b.safetensors",
]


@pytest.mark.parametrize("name", ["sd_xl_base_1.0", "sd_xl_base_1.0.safetensors", "SD_XL_Base_1.0", "Diffusion\\sd_xl"])
def test_part_of_a_model_name_is_enough(name: str) -> None:
    assert best_model(name, MODELS) == MODELS[0]


def test_an_exact_name_wins_over_a_shorter_one_that_contains_it() -> None:
    assert best_match("euler", ["xeuler", "euler"]) == "euler"


def test_the_shortest_name_that_contains_the_text_wins() -> None:
    assert best_match("2m_sde", ["dpmpp_2m_sde_gpu", "dpmpp_2m_sde", "dpmpp_2m"]) == "dpmpp_2m_sde"


def test_the_first_of_equally_short_names_wins() -> None:
    assert best_match("a", ["xa", "ya"]) == "xa"


def test_case_spaces_and_brackets_do_not_count() -> None:
    assert best_model("[A] B", MODELS) == "a b.safetensors"


def test_names_that_match_nothing_are_not_found() -> None:
    assert best_match("dpm++", ["dpmpp_2m"]) is None
    assert best_match("x" * 1000, ["y" + "x" * 1000]) is None
