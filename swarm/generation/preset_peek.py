"""What presets named inside a prompt decide before there are pictures: how many there are, and who makes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from swarm.access.permission import Permission
from swarm.features.core import IMAGES, MODEL, PROMPT
from swarm.features.swarm import EXACT_BACKEND_ID, INTERNAL_BACKEND_TYPE
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.registry import ParamRegistry
from swarm.params.request import apply

_LITERAL = re.compile(r"<(?:preset|p):([^<>]+)>", re.IGNORECASE)
_EARLY = (MODEL, IMAGES, INTERNAL_BACKEND_TYPE, EXACT_BACKEND_ID)


def with_early_presets(
    input: GenerationInput,
    *,
    presets: Mapping[str, Mapping[str, str]],
    params: ParamRegistry,
    choices: Choices,
    permits: Callable[[Permission], bool],
) -> GenerationInput:
    """The early values of every preset that the prompt names literally (swarm-t2i 3.8, step 5).

    `presets`: parameter texts by lower-case title. Raises BadInput or NotPermitted as the parameters do.
    """
    for found in _LITERAL.finditer(input.get(PROMPT)):
        for name, text in presets.get(found[1].strip().lower(), {}).items():
            param = params.find(name)
            if param in _EARLY:
                input = apply(input, param, text, choices, permits)
    return input
