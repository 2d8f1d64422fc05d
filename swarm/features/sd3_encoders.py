"""Which of Stable Diffusion 3's text encoders are heard (swarm-t2i 9.4)."""

from __future__ import annotations

from swarm.features.groups import SAMPLING_GROUP
from swarm.params.input import GenerationInput
from swarm.params.kinds import Dropdown, fixed

SD_TEXT_ENCS = Dropdown(
    name="SD3 TextEncs",
    description="Which text encoders the model hears. T5 reads long prompts best; without it less memory is needed.",
    default="CLIP + T5",
    values=fixed("CLIP Only", "T5 Only", "CLIP + T5"),
    group=SAMPLING_GROUP,
    priority=5.0,
    flags=("sd3",),
    toggleable=True,
)
_SILENT = {"CLIP Only": frozenset({"t5xxl"}), "T5 Only": frozenset({"clip_l", "clip_g"})}


def silent_encoders(input: GenerationInput) -> frozenset[str]:
    """The slots of the encoders that the request does not want heard."""
    return _SILENT.get(input.given(SD_TEXT_ENCS) or "", frozenset())
