"""Opens one found model and says what it is. A broken file is an answer too: its problem, in a sentence."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swarm.architectures.architecture import Architecture
from swarm.architectures.detect import detect
from swarm.architectures.header import Header
from swarm.base.errors import BadInput
from swarm.base.json import dumps, loads
from swarm.catalog.headers import pickle_refusal, read_header
from swarm.catalog.metadata import describe, embedded_preview, merged
from swarm.catalog.model import ModelInfo
from swarm.catalog.scan import Found
from swarm.catalog.sets import LEGACY, extension

logger = logging.getLogger(__name__)

LEGACY_DESCRIPTION = "(None, use '.safetensors' to enable metadata descriptions)"
_MAX_SIDECAR = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What is remembered of a model. `family`: class id. `preview`: a `data:` URL from its metadata."""

    family: str | None
    problem: str | None
    info: ModelInfo
    preview: str | None

    def to_record(self) -> bytes:
        return dumps({"family": self.family, "problem": self.problem, "info": asdict(self.info)})

    @staticmethod
    def of_record(record: bytes) -> Examined:
        content: Any = loads(record)
        info = dict(content["info"])
        if info["tags"] is not None:
            info["tags"] = tuple(info["tags"])
        return Examined(family=content["family"], problem=content["problem"], info=ModelInfo(**info), preview=None)


LISTED = Examined(family=None, problem=None, info=ModelInfo(), preview=None)
"""What is known of a file that nobody has looked into yet."""


def examine(found: Found, architectures: Mapping[str, Architecture]) -> Examined:
    """Never raises for what is in the file; unreadable files get a problem as well."""
    ending = extension(found.name) if not found.is_folder else ""
    if ending in LEGACY:
        info = ModelInfo(description=LEGACY_DESCRIPTION)
        return Examined(family=None, problem=pickle_refusal(found.name), info=info, preview=None)
    header, problem = _header(found, ending)
    sidecars = [fields for path in found.sidecars if (fields := _sidecar(path)) is not None]
    fields = merged(header, sidecars)
    texts = {key: value for key, value in fields.items() if isinstance(value, str)}
    told = Header(header.tensors, texts, found.name)
    family = None if problem is not None and not sidecars else detect(told, architectures).found
    return Examined(
        family=family.id if family is not None else None,
        problem=problem,
        info=describe(told, fields, sidecars, family),
        preview=embedded_preview(fields),
    )


def _header(found: Found, ending: str) -> tuple[Header, str | None]:
    """(header, problem): an empty header where the file has none that we can read."""
    empty = Header({}, {}, found.name)
    if ending == "engine":
        return empty, f"The model file '{found.name}' is a TensorRT engine, which this server cannot run."
    try:
        return read_header(found.path, found.name), None
    except BadInput as refusal:
        logger.warning("%s", refusal.sentence)
        return empty, refusal.sentence
    except OSError as error:
        logger.warning("The model file %s cannot be read: %s", found.path, error)
        return empty, f"The model file '{found.name}' cannot be read: {error.strerror}."


def _sidecar(path: Path) -> Mapping[str, Any] | None:
    """The root object of a sidecar; None, and a line in the log, when it is not one."""
    try:
        if path.stat().st_size <= _MAX_SIDECAR:
            content = loads(path.read_bytes())
            if isinstance(content, Mapping):
                return content
        logger.warning("The model sidecar %s is not a JSON object of reasonable size; it is ignored.", path)
    except (OSError, BadInput) as error:
        logger.warning("The model sidecar %s cannot be read and is ignored: %s", path, error)
    return None
