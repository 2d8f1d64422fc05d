"""What is done for single model families without being asked (swarm-t2i 9.4)."""

from swarm.features.groups import SWARM_INTERNAL_GROUP
from swarm.params.kinds import Boolean

MODEL_SPECIFIC_ENHANCEMENTS = Boolean(
    name="Model Specific Enhancements",
    description="Tells Stable Diffusion XL that the prompt's pictures were large and the negative prompt's were small, "
    "which makes it draw sharper ones.",
    default=True,
    ignore_if="true",
    group=SWARM_INTERNAL_GROUP,
    priority=5.0,
    advanced=True,
)
