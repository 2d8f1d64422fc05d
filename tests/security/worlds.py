"""Servers with a model and a LoRA for tests of what one caller may take from the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from tests.conftest import World
from tests.support.models import write_model

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
MEBIBYTE = 2**20


def world_of(folder: Path, settings: ServerSettings, **backend: object) -> World:
    world = World(folder)
    world.backends(**{"StepMilliseconds": 0, **backend})
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    write_model(world.models / "Lora" / "extra.safetensors", {"lora_unet_x.lora_down.weight": (2, 2)})
    save_settings(settings, world.data / "Settings.fds")
    return world


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
