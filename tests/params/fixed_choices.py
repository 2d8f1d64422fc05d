"""Choices that never change, and all parameters: what the tests of this folder parse with."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import swarm.features
from swarm.access.permission import Permission
from swarm.base.errors import BadInput
from swarm.base.json import JsonObject
from swarm.base.registry import collect
from swarm.params.input import GenerationInput
from swarm.params.param import Param
from swarm.params.registry import ParamRegistry
from swarm.params.request import parse_request

PARAMS = ParamRegistry.of(collect(swarm.features, Param))
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True)
class FixedChoices:
    """Three checkpoints, two LoRAs, three samplers, two schedules, one backend and one picture."""

    def models(self, subtype: str) -> Sequence[str] | None:
        known = {
            "Stable-Diffusion": ["Official/sd_xl_base_1.0.safetensors", "folder model", "tiny.safetensors"],
            "LoRA": ["Zoo/cat.safetensors", "ink.safetensors"],
        }
        return known.get(subtype)

    def files(self, folder: str, suffixes: Sequence[str]) -> Sequence[str]:
        return ["4x.safetensors"] if folder == "upscale_models" else []

    def samplers(self) -> Sequence[tuple[str, str]]:
        return [("euler", "Euler"), ("dpmpp_2m", "DPM++ 2M"), ("dpmpp_2m_sde", "DPM++ 2M SDE")]

    def schedules(self) -> Sequence[tuple[str, str]]:
        return [("normal", "Normal"), ("karras", "Karras")]

    def backend_types(self) -> Sequence[tuple[str, str]]:
        return [("fake", "Fake")]

    def backends(self) -> Sequence[tuple[str, str]]:
        return [("0", "First")]

    def read_picture(self, path: str) -> tuple[bytes, str] | None:
        if ".." in path:
            raise BadInput("That path leads out of your folder.")
        return (PNG, "image/png") if path == "inputs/cat.png" else None


CHOICES = FixedChoices()


def everything(permission: Permission) -> bool:
    """Permits all."""
    return True


def parsed(raw: JsonObject) -> GenerationInput:
    """`raw` as a user with all permissions sends it."""
    return parse_request(raw, params=PARAMS, choices=CHOICES, permits=everything)
