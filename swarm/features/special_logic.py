"""What is settled about a request after it is read and before its pictures are planned (swarm-t2i 3.8)."""

from __future__ import annotations

import random

from swarm.features.core import SEED
from swarm.features.lora import with_level_lora_lists
from swarm.features.resolution import with_raw_resolution
from swarm.features.swarm import WILDCARD_SEED
from swarm.features.variation import VARIATION_SEED
from swarm.params.input import GenerationInput

MAX_RANDOM_SEED = 2**31 - 2
"""The largest seed the server picks by itself."""


def special_logic(input: GenerationInput, *, rng: random.Random) -> GenerationInput:
    """Seeds fixed, raw resolution turned into width and height, LoRA lists made level.

    `rng`: where random seeds come from. Doing it twice changes nothing.
    """
    return with_level_lora_lists(with_raw_resolution(with_locked_seeds(input, rng)))


def with_locked_seeds(input: GenerationInput, rng: random.Random) -> GenerationInput:
    """A missing or -1 seed becomes a random one; so does a variation seed of -1, in sections too."""
    if input.get(SEED) == -1:
        input = input.having(SEED, rng.randint(0, MAX_RANDOM_SEED))
    if input.given(VARIATION_SEED) == -1:
        input = input.having(VARIATION_SEED, rng.randint(0, MAX_RANDOM_SEED))
    for section in input.sections:
        if input.given_within(VARIATION_SEED, section) == -1:
            input = input.having(VARIATION_SEED, rng.randint(0, MAX_RANDOM_SEED), section=section)
    return input


def with_wildcard_seed(input: GenerationInput, rng: random.Random) -> GenerationInput:
    """The seed of the prompt's random choices settled and written down, so that metadata says it."""
    return input.having(WILDCARD_SEED, wildcard_seed(input, rng))


def wildcard_seed(input: GenerationInput, rng: random.Random) -> int:
    """The seed of the prompt's random choices, 0 to 2^31-1 (swarm-t2i 5.3).

    The one given, else seed plus variation seed; a negative one is replaced by a random one from `rng`.
    """
    given = input.given(WILDCARD_SEED)
    seed = given if given is not None else input.get(SEED) + max(input.get(VARIATION_SEED), 0)
    if seed < 0:
        return rng.randint(0, MAX_RANDOM_SEED)
    return seed if seed < 2**31 else seed % (2**31 - 1)
