"""How often something may be tried: fixed windows of a minute by key (swarm-core 2.6). In memory."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable

WINDOW_SECONDS = 60.0


class Attempts:
    """Counts attempts by key. A window begins with its first attempt and ends a minute later."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        self._swept = clock()

    def count(self, key: str) -> bool:
        """Count one attempt; whether it may be made."""
        now = self._clock()
        with self._lock:
            self._sweep(now)
            start, count = self._windows.get(key, (now, 0))
            if abs(now - start) > WINDOW_SECONDS:
                start, count = now, 0
            self._windows[key] = (start, count + 1)
        return count < self._most

    def _sweep(self, now: float) -> None:
        if abs(now - self._swept) > WINDOW_SECONDS:
            self._swept = now
            self._windows = {key: one for key, one in self._windows.items() if abs(now - one[0]) <= WINDOW_SECONDS}


class LoginLimits:
    """Logins and registrations together: 5 a minute from one address, 15 for one name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._by_address = Attempts(5, clock)
        self._by_name = Attempts(15, clock)

    def count(self, address: str, name: str) -> bool:
        """Count one attempt, by address first; whether it may be made."""
        return self._by_address.count(network_of(address)) and self._by_name.count(name)


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the 64 bits of IPv6 that one household has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
