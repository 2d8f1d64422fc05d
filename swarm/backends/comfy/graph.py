"""A ComfyUI graph in API form while it is built: numbered nodes, and links to their outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from swarm.base.json import Json

Link: TypeAlias = tuple[str, int]
"""A node's id and the number of its output."""

Input: TypeAlias = Link | str | int | float | bool


@dataclass
class Graph:
    """`nodes`: id → {"class_type", "inputs"}, as `/prompt` takes it."""

    nodes: dict[str, Json] = field(default_factory=dict)

    def add(self, class_type: str, **inputs: Input) -> str:
        """A further node; its id."""
        id = str(len(self.nodes) + 4)
        given: dict[str, Json] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()
        }
        self.nodes[id] = {"class_type": class_type, "inputs": given}
        return id
