"""Latent spaces that several families share. The RGB rows are published linear fits of latents against pixels."""

from __future__ import annotations

from swarm.architectures.architecture import LatentFormat

SD1_LATENT = LatentFormat(
    channels=4,
    scale=0.18215,
    rgb_factors=((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)),
)

SDXL_LATENT = LatentFormat(
    channels=4,
    scale=0.13025,
    rgb_factors=((0.471, 0.471, 0.471), (-0.471, -0.039, 0.078), (0.196, 0.118, -0.039), (-0.549, -0.392, -0.275)),
    rgb_bias=(0.176, 0.098, 0.02),
)

SD3_LATENT = LatentFormat(channels=16, scale=1.5305, shift=0.0609)

FLUX_LATENT = LatentFormat(channels=16, scale=0.3611, shift=0.1159)
