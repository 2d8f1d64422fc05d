"""What a watcher of a generation hears, and how each event is spelled on Swarm's wire (swarm-t2i 4.3)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TypeAlias

from swarm.base.json import Json, JsonObject
from swarm.media.image import Picture


@dataclass(frozen=True, kw_only=True)
class Status:
    """The session's counters and the state of the backends; sent first, at every change, and last."""

    body: JsonObject

    def to_wire(self) -> JsonObject:
        return self.body


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far picture `index` is, in fractions 0 to 1. `metadata` comes only with a picture's first."""

    index: int
    request_id: str
    overall: float
    current: float
    preview: Picture | None = None
    metadata: str | None = None

    def to_wire(self) -> JsonObject:
        body: dict[str, Json] = {"batch_index": str(self.index), "request_id": self.request_id}
        if self.preview is not None:
            body["preview"] = f"data:{self.preview.mime};base64,{base64.b64encode(self.preview.data).decode('ascii')}"
        body["overall_percent"] = self.overall
        body["current_percent"] = self.current
        if self.metadata is not None:
            body["metadata"] = self.metadata
        return {"gen_progress": body}


@dataclass(frozen=True, kw_only=True)
class ImageSaved:
    """A picture is on disk (or was asked not to be). `image`: its URL without leading slash, or a data URL."""

    image: str
    index: int
    request_id: str
    metadata: str | None

    def to_wire(self) -> JsonObject:
        return {
            "image": self.image,
            "batch_index": str(self.index),
            "request_id": self.request_id,
            "metadata": self.metadata,
        }


@dataclass(frozen=True, kw_only=True)
class RawSwarmData:
    """Sent right before an image when `forwardswarmdata` is set: the ids of the parameters that were used."""

    params_used: tuple[str, ...]

    def to_wire(self) -> JsonObject:
        return {"raw_swarm_data": {"params_used": list(self.params_used)}}


@dataclass(frozen=True, kw_only=True)
class Discard:
    """Once per request, at its end: indices the client should throw away."""

    indices: tuple[int, ...] = ()

    def to_wire(self) -> JsonObject:
        return {"discard_indices": list(self.indices)}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The request was refused or a picture failed; `sentence` is for the person, `error_id` for programs."""

    sentence: str
    error_id: str | None = None

    def to_wire(self) -> JsonObject:
        return (
            {"error": self.sentence} if self.error_id is None else {"error": self.sentence, "error_id": self.error_id}
        )


@dataclass(frozen=True, kw_only=True)
class KeepAlive:
    """Nothing new, still working: at least every 30 seconds in the final wait, and whenever a task ends."""

    def to_wire(self) -> JsonObject:
        return {"keep_alive": True}


GenerationEvent: TypeAlias = Status | Progress | ImageSaved | RawSwarmData | Discard | Failure | KeepAlive
