"""Which web hooks a request has sent for its pictures (swarm-core 9.1)."""

from swarm.features.groups import SWARM_INTERNAL_GROUP
from swarm.params.kinds import Dropdown, fixed

NO_HOOKS, NORMAL, MANUAL, MANUAL_AT_END = "None", "Normal", "Manual", "Manual At End"

WEBHOOKS = Dropdown(
    name="Webhooks",
    description="Which web hooks of the server are sent for this request: none, the one for every picture, the manual "
    "one too, or the manual one once at the end.",
    default=NORMAL,
    values=fixed(NO_HOOKS, NORMAL, MANUAL, MANUAL_AT_END),
    ignore_if=NORMAL,
    group=SWARM_INTERNAL_GROUP,
    priority=-12.0,
    advanced=True,
    always_retain=True,
    intentional_unused=True,
)
