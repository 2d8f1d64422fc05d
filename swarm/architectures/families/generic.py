"""Diffusers folders whose pipeline belongs to no family we know more about: run whole, as they come."""

from __future__ import annotations

from swarm.architectures.architecture import Architecture, CompatClass, LatentFormat
from swarm.architectures.detect import GENERIC_PIPELINE

DIFFUSERS_PIPELINE = Architecture(
    id=GENERIC_PIPELINE,
    name="Diffusers Pipeline",
    compat=CompatClass(id=GENERIC_PIPELINE, short_code="Diff"),
    standard_width=1024,
    standard_height=1024,
    latent=LatentFormat(channels=4, scale=1.0),
    pipeline="DiffusionPipeline",
)
