from __future__ import annotations

import random

import pytest

from swarm.base.json import Json
from swarm.features.core import SEED
from swarm.features.lora import LORA_TENC_WEIGHTS, LORA_WEIGHTS, LORAS, with_lora
from swarm.features.special_logic import special_logic, wildcard_seed
from swarm.features.variation import VARIATION_SEED
from swarm.params.input import GenerationInput
from tests.params.fixed_choices import parsed


def settled(raw: dict[str, Json]) -> GenerationInput:
    return special_logic(parsed(raw), rng=random.Random(1))


@pytest.mark.parametrize("raw", [{}, {"seed": -1}, {"seed": "-1"}])
def test_a_missing_seed_is_picked(raw: dict[str, Json]) -> None:
    assert 0 <= settled(raw).get(SEED) <= 2147483646


def test_given_seeds_stay() -> None:
    input = settled({"seed": 2**62, "variationseed": 3})
    assert (input.get(SEED), input.get(VARIATION_SEED)) == (2**62, 3)
    assert special_logic(input, rng=random.Random()) == input


def test_a_variation_seed_is_picked_only_when_one_is_asked() -> None:
    assert settled({"variationseed": -1}).get(VARIATION_SEED) >= 0
    assert not settled({}).has(VARIATION_SEED)


@pytest.mark.parametrize(
    ("raw", "names", "weights", "text_weights"),
    [
        ({"loras": "ink,cat"}, ("ink", "Zoo/cat"), ("1", "1"), ()),
        ({"loras": "ink", "loraweights": "0.5,0.6"}, ("ink",), ("0.5",), ()),
        (
            {"loras": "ink,cat", "loraweights": "0.5", "loratencweights": "0.1"},
            ("ink", "Zoo/cat"),
            ("0.5", "1"),
            ("0.1", "1"),
        ),
        ({"loras": "(None),cat", "loraweights": "0.5,0.6"}, ("Zoo/cat",), ("0.6",), ()),
        ({"loras": "(None)", "loraweights": "0.5"}, (), (), ()),
        ({"loraweights": "0.5"}, (), (), ()),
    ],
)
def test_lora_lists_become_level(
    raw: dict[str, Json], names: tuple[str, ...], weights: tuple[str, ...], text_weights: tuple[str, ...]
) -> None:
    input = settled(raw)
    assert (input.get(LORAS), input.get(LORA_WEIGHTS), input.get(LORA_TENC_WEIGHTS)) == (names, weights, text_weights)


def test_loras_of_tags_are_appended() -> None:
    one = with_lora(parsed({"loras": "ink"}), "Zoo/cat", "0.5", None)
    assert (one.get(LORAS), one.get(LORA_WEIGHTS)) == (("ink", "Zoo/cat"), ("1", "0.5"))
    assert not one.has(LORA_TENC_WEIGHTS)
    two = with_lora(one, "dog", "0.7", "0.2")
    assert two.get(LORA_TENC_WEIGHTS) == ("1", "0.5", "0.2")
    three = with_lora(two, "fox", "0.9", None)
    assert three.get(LORA_TENC_WEIGHTS) == ("1", "0.5", "0.2", "0.9")


@pytest.mark.parametrize(
    ("raw", "seed"),
    [
        ({"seed": 5}, 5),
        ({"seed": 5, "variationseed": 3}, 8),
        ({"seed": 5, "wildcardseed": 9}, 9),
        ({"seed": 2147483647}, 2147483647),
        ({"seed": 2147483648}, 1),
    ],
)
def test_the_wildcard_seed_follows_the_seeds(raw: dict[str, Json], seed: int) -> None:
    assert wildcard_seed(parsed(raw), random.Random(1)) == seed


def test_a_negative_wildcard_seed_is_random() -> None:
    input = parsed({"seed": 5, "wildcardseed": -1})
    assert wildcard_seed(input, random.Random(1)) != wildcard_seed(input, random.Random(2))
