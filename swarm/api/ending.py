"""What the end of sessions brings with it."""

from __future__ import annotations

from collections.abc import Iterable

from swarm.accounts.session import Session
from swarm.state import AppState


def interrupt_ended(state: AppState, ended: Iterable[Session]) -> None:
    """Stop what sessions that have just ended had asked for (swarm-core 2.2). Only on the event loop."""
    for session in ended:
        state.generation.interrupt(session.id)
