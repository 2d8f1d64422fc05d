"""What a kind of network says of itself, so that acts may ask for it by name (jobs.acts.WorkTools.network)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarm.engine.device import Device
from swarm.jobs.job import ModelFile


@dataclass(frozen=True, kw_only=True)
class Network:
    """A kind of network. `load(file, device)` reads a file of that kind; raises BadInput for any other."""

    id: str
    load: Callable[[ModelFile, Device], Any]
