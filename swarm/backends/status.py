"""All backends in one word: `backend_status` and `supported_features` of status messages (swarm-core 5.10). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.backends.backend import BackendStatus
from swarm.backends.instance import BackendInstance
from swarm.base.json import JsonObject

_MESSAGES = {
    "empty": "There are no backends yet. Add one under Server, Backends.",
    "all_disabled": "Every backend is switched off. Switch one on under Server, Backends.",
    "errored": "A backend could not start or has failed. Server, Backends shows which one and why.",
    "some_loading": "Some backends are ready, others are still starting.",
    "running": "",
    "loading": "The backends are starting. Generating begins as soon as one is ready.",
    "disabled": "Some backends are switched off and none is running.",
    "idle": "The backends are idle: their machines do not answer at the moment.",
    "unknown": "The backends are in a state that has no name. The server's log may say more.",
}


def backend_status(instances: Sequence[BackendInstance]) -> JsonObject:
    """The wire's `backend_status`: the first of the nine cases that applies."""
    word, css_class = _case(instances)
    found = {instance.status for instance in instances}
    is_loading = bool(found & {BackendStatus.WAITING, BackendStatus.LOADING})
    if word in ("empty", "all_disabled"):
        is_loading = False
    return {"status": word, "class": css_class, "message": _MESSAGES[word], "any_loading": is_loading}


def _case(instances: Sequence[BackendInstance]) -> tuple[str, str]:
    """(status word, class)."""
    found = {instance.status for instance in instances}
    is_loading = bool(found & {BackendStatus.WAITING, BackendStatus.LOADING})
    is_running = BackendStatus.RUNNING in found
    cases = (
        (not instances, "empty", "error"),
        (not any(instance.enabled for instance in instances), "all_disabled", "error"),
        (BackendStatus.ERRORED in found, "errored", "error"),
        (is_running and is_loading, "some_loading", "warn"),
        (is_running, "running", ""),
        (is_loading, "loading", "soft"),
        (BackendStatus.DISABLED in found, "disabled", "warn"),
        (BackendStatus.IDLE in found, "idle", "warn"),
    )
    return next(((word, css_class) for applies, word, css_class in cases if applies), ("unknown", "error"))


def supported_features(instances: Sequence[BackendInstance]) -> list[str]:
    """Feature ids of every backend that is switched on and not idle, those still starting included; sorted."""
    found: set[str] = set()
    for instance in instances:
        if instance.enabled and instance.status is not BackendStatus.IDLE:
            found |= instance.backend.features
    return sorted(found)
