"""How backends and their types are spelled on the wire (swarm-models-backends 3.3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from swarm.backends.backend import BackendType
from swarm.backends.instance import BackendInstance
from swarm.backends.settings import form, to_json
from swarm.base.json import Json, JsonObject

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def type_list(types: Mapping[str, BackendType]) -> list[JsonObject]:
    """Every kind that is not hidden, for ListBackendTypes."""
    return [
        {
            "id": kind.id,
            "name": kind.label,
            "description": kind.description,
            "settings": form(kind.settings),
            "is_standard": kind.standard,
        }
        for kind in types.values()
        if not kind.hidden
    ]


def backend_list(instances: Iterable[BackendInstance], now: float, *, full: bool) -> JsonObject:
    """The root of ListBackends: backend objects by their id as text, and nothing else."""
    return {str(instance.id): backend_object(instance, now, full=full) for instance in instances}


def backend_object(instance: BackendInstance, now: float, *, full: bool = False) -> JsonObject:
    """One backend. `now`: unix seconds. `full` adds the model it holds."""
    since = max(0, int(now - instance.last_used)) if instance.last_used else 0
    body: dict[str, Json] = {
        "type": instance.type.id,
        "status": instance.status.value,
        "id": instance.id,
        "settings": to_json(instance.settings, masked=True),
        "modcount": instance.mod_count,
        "features": sorted(instance.backend.features),
        "enabled": instance.enabled,
        "title": instance.title,
        "max_usages": instance.backend.max_usages,
        "seconds_since_used": since,
        "time_since_used": time_since(since) if instance.last_used else "Never",
        "can_load_models": instance.can_load_models,
    }
    if full:
        body["current_model"] = instance.backend.current_model
    route = getattr(instance.backend, "route", ())
    if route:
        body["servers"] = list(route)
    if instance.message:
        body["message"] = instance.message
    return body


def time_since(seconds: int) -> str:
    """`2 minutes and 5 seconds ago`: the two largest units, the second left out when zero."""
    if seconds <= 0:
        return "0 seconds from now"
    at = next(index for index, (_, size) in enumerate(_UNITS) if seconds >= size)
    name, size = _UNITS[at]
    parts = [_counted(seconds // size, name)]
    if at + 1 < len(_UNITS):
        lesser, lesser_size = _UNITS[at + 1]
        rest = seconds % size // lesser_size
        parts += [_counted(rest, lesser)] if rest else []
    return f"{' and '.join(parts)} ago"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
