"""The server's settings while it runs: read at any time, replaced as a whole, kept in the settings file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from swarm.base.errors import BadInput, Refused
from swarm.base.json import Json
from swarm.settings.file import save_settings
from swarm.settings.server import LOG_LEVELS, ServerSettings
from swarm.settings.wire import changed_settings

_PORTS = range(1, 65536)
_MEGABYTES = range(1, 2048)
_PREFERENCES = ("last_used", "first_free")


class SettingsStore:
    """Settings as they are now. A reader that keeps `current` has one consistent tree. Safe in several threads."""

    def __init__(self, first: ServerSettings, file: Path | None) -> None:
        """`file` None: changes last until the server stops."""
        self._current = first
        self._file = file
        self._listeners: list[Callable[[ServerSettings], None]] = []
        self._changing = threading.Lock()

    @property
    def current(self) -> ServerSettings:
        return self._current

    def on_change(self, listener: Callable[[ServerSettings], None]) -> None:
        """Have `listener` called with new settings, in the thread that changes them."""
        self._listeners.append(listener)

    def change(self, changes: Mapping[str, Json]) -> None:
        """Take over changes by dotted path (swarm-core 4.2): saved first, then in effect; all or none. Blocking.

        Raises BadInput for a value that the server could not run with, Refused when the file cannot be written.
        """
        with self._changing:
            wanted = usable(changed_settings(self._current, changes))
            if self._file is not None:
                try:
                    save_settings(wanted, self._file)
                except OSError as error:
                    raise Refused(f"The settings could not be saved: {error.strerror or error}.") from None
            self._current = wanted
            for listener in self._listeners:
                listener(wanted)


def usable(settings: ServerSettings) -> ServerSettings:
    """The same settings. Raises BadInput with a sentence for values that would lock everyone out or mean nothing."""
    network = settings.network
    if network.port not in _PORTS:
        raise BadInput(f"{network.port} is not a port, which is a number from 1 to 65535.")
    if network.max_network_request_megabytes not in _MEGABYTES:
        raise BadInput("MaxNetworkRequestMegabytes must be from 1 to 2047.")
    if not settings.default_user.roles:
        raise BadInput("DefaultUser.Roles must name a role, or nobody could do anything here any more.")
    if settings.logs.log_level.lower() not in [level.lower() for level in LOG_LEVELS]:
        raise BadInput(f"'{settings.logs.log_level[:80]}' is not a log level: {', '.join(LOG_LEVELS)}.")
    if settings.backends.model_load_order_preference not in _PREFERENCES:
        raise BadInput(f"ModelLoadOrderPreference must be one of {', '.join(_PREFERENCES)}.")
    return settings
