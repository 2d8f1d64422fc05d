"""Compiled TensorRT engines of the families that had them. Their files say so; there is nothing else to tell from."""

from __future__ import annotations

from swarm.architectures.families.listed import listed
from swarm.architectures.families.stable_diffusion_v1 import COMPAT as SD1_COMPAT
from swarm.architectures.families.stable_diffusion_v2 import COMPAT as SD2_COMPAT
from swarm.architectures.families.stable_diffusion_v3 import MEDIUM_COMPAT as SD3_COMPAT
from swarm.architectures.families.stable_diffusion_xl import COMPAT as XL_COMPAT
from swarm.architectures.families.stable_diffusion_xl import REFINER_COMPAT
from swarm.architectures.families.stable_others import VIDEO_COMPAT
from swarm.architectures.families.transformers import AURAFLOW

_ENGINE = "(TensorRT Engine)"

SD1_ENGINE = listed("stable-diffusion-v1/tensorrt", f"Stable Diffusion v1 {_ENGINE}", SD1_COMPAT, 512)
SD2_ENGINE = listed("stable-diffusion-v2-768-v/tensorrt", f"Stable Diffusion v2 {_ENGINE}", SD2_COMPAT, 768)
XL_09_ENGINE = listed(
    "stable-diffusion-xl-v0_9-base/tensorrt", f"Stable Diffusion XL 0.9-Base {_ENGINE}", XL_COMPAT, 1024
)
XL_ENGINE = listed("stable-diffusion-xl-v1-base/tensorrt", f"Stable Diffusion XL 1.0-Base {_ENGINE}", XL_COMPAT, 1024)
XL_TURBO_ENGINE = listed(
    "stable-diffusion-xl-turbo-v1/tensorrt", f"Stable Diffusion XL Turbo {_ENGINE}", XL_COMPAT, 512
)
XL_REFINER_ENGINE = listed(
    "stable-diffusion-xl-v1-refiner/tensorrt", f"Stable Diffusion XL 1.0-Refiner {_ENGINE}", REFINER_COMPAT, 1024
)
STABLE_VIDEO_ENGINE = listed(
    "stable-video-diffusion-img2vid-v1/tensorrt",
    f"Stable Video Diffusion Img2Vid v1 {_ENGINE}",
    VIDEO_COMPAT,
    1024,
    576,
)
SD3_ENGINE = listed("stable-diffusion-v3-medium/tensorrt", f"Stable Diffusion 3 Medium {_ENGINE}", SD3_COMPAT, 1024)
AURAFLOW_ENGINE = listed("auraflow-v1/tensorrt", f"AuraFlow {_ENGINE}", AURAFLOW.compat, 1024)
