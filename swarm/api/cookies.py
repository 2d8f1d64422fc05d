"""The cookie that holds a login token (swarm-core 2.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from swarm.accounts.door import COOKIE

_YEAR_SECONDS = 365 * 24 * 3600
_ATTRIBUTES = "Path=/; SameSite=Lax; HttpOnly"


def login_cookie(token: str, now: float) -> str:
    """Set-Cookie that keeps the token for a year. `now`: unix seconds."""
    expires = format_datetime(datetime.fromtimestamp(now + _YEAR_SECONDS, UTC), usegmt=True)
    return f"{COOKIE}={token}; Expires={expires}; {_ATTRIBUTES}"


def no_cookie() -> str:
    """Set-Cookie that takes the token away."""
    return f"{COOKIE}=; Max-Age=-1; {_ATTRIBUTES}"
