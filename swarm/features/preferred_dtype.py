"""In which number format a model's weights rest while this request's pictures are made."""

from __future__ import annotations

from swarm.features.groups import ADVANCED_SAMPLING_GROUP
from swarm.params.input import GenerationInput
from swarm.params.kinds import Dropdown

AUTOMATIC, SIXTEEN_BIT = "automatic", "default"
_KINDS = (
    (AUTOMATIC, "Automatic"),
    (SIXTEEN_BIT, "Default (16 bit)"),
    ("fp8_e4m3fn", "FP8 e4m3fn (8 bit)"),
    ("fp8_e5m2", "FP8 e5m2 (alt 8 bit)"),
)

PREFERRED_DTYPE = Dropdown(
    name="Preferred DType",
    description="The number format the model's weights rest in. 8 bits take half the memory and are a little less "
    "exact; the model computes as before. Automatic is what the backend is set to.",
    default=AUTOMATIC,
    values=lambda _choices: _KINDS,
    group=ADVANCED_SAMPLING_GROUP,
    flags=("comfyui",),
    priority=9.0,
    advanced=True,
    toggleable=True,
)


def preferred_store(input: GenerationInput) -> str | None:
    """The format that a request wants weights to rest in: `default` for the one they compute in, `fp8_e4m3fn` or
    `fp8_e5m2`; None for the backend's own choice."""
    kind = input.get(PREFERRED_DTYPE)
    return None if kind == AUTOMATIC else kind
