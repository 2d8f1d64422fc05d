"""Calls into a backend's own code, answered with a value or a reason; never with an exception.

Kinds of backend may come from extensions, and one that is broken must not take the server down. So this is, with the
extension loader, a place where any exception is caught; it is always logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from swarm.base.errors import BackendError, Crashed, UserError

T = TypeVar("T")
UNFORESEEN = "The backend failed for a reason nobody foresaw; the server's log has the details."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a call did not work. `crashed`: the backend went away meanwhile, so trying again may help."""

    sentence: str
    crashed: bool = False


async def attempt(call: Awaitable[T], who: str) -> T | Problem:
    """Await a call of backend `who`; its value, or what went wrong. Cancellation passes through."""
    try:
        return await call
    except (BackendError, UserError) as error:
        logger.warning("%s: %s", who, error.sentence)
        return Problem(sentence=error.sentence, crashed=isinstance(error, Crashed))
    except Exception:
        logger.exception("%s failed for a reason nobody foresaw.", who)
        return Problem(sentence=UNFORESEEN)
