"""The sampler of Stable Diffusion WebUI backends, which name theirs in their own way."""

from swarm.features.groups import AUTO_WEBUI_GROUP
from swarm.params.kinds import Dropdown, fixed

AUTO_WEBUI_SAMPLER = Dropdown(
    name="[AutoWebUI] Sampler",
    description="Sampler for backends of the kind Stable Diffusion WebUI.",
    default="Euler",
    values=fixed(
        "Euler a",
        "Euler",
        "LMS",
        "Heun",
        "DPM2",
        "DPM2 a",
        "DPM++ 2S a",
        "DPM++ 2M",
        "DPM++ SDE",
        "DPM++ 2M SDE",
        "DPM++ 3M SDE",
        "DDIM",
        "UniPC",
        "LCM",
    ),
    group=AUTO_WEBUI_GROUP,
    flags=("autowebui",),
    toggleable=True,
)
