"""Whether strangers can get at a server with these settings. Pure."""

from __future__ import annotations

import ipaddress

from swarm.settings.server import ServerSettings


def is_loopback(host: str) -> bool:
    """Whether a server that listens on this address can be reached from its own machine only."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_closed(settings: ServerSettings) -> bool:
    """Whether the settings keep strangers out, by accounts or by a text that every request must carry."""
    return settings.user_authorization.authorization_required or bool(settings.network.required_authorization.strip())
