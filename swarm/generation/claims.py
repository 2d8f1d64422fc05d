"""What each session is waiting for, and how it is interrupted. In memory only: the promise itself is a row (queue/)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import CancelScope

from swarm.base.json import JsonObject


@dataclass
class Claim:
    """The four counters of one request (swarm-core 5.10), and the scopes that end its pictures.

    `cost`: how much work each of its tasks is, see budget.cost_of_one.
    """

    session_id: str
    user_id: str
    waiting_gens: int = 0
    waiting_backends: int = 0
    live_gens: int = 0
    loading_models: int = 0
    cost: float = 0.0
    interrupted: bool = False
    scopes: set[CancelScope] = field(default_factory=set)

    @contextmanager
    def cancellable(self) -> Iterator[CancelScope]:
        """A scope that an interrupt of the session cancels."""
        with CancelScope() as scope:
            self.scopes.add(scope)
            try:
                if self.interrupted:
                    scope.cancel()
                yield scope
            finally:
                self.scopes.discard(scope)

    def one_less(self) -> None:
        """One of the pictures waited for has ended."""
        self.waiting_gens = max(0, self.waiting_gens - 1)

    def interrupt(self) -> None:
        self.interrupted = True
        for scope in tuple(self.scopes):
            scope.cancel()


class Claims:
    """All open claims. `changed(session_id)` is called by the service after counters move."""

    def __init__(self) -> None:
        self._by_session: dict[str, list[Claim]] = {}

    @contextmanager
    def open(self, session_id: str, user_id: str, waiting_gens: int = 0) -> Iterator[Claim]:
        """A claim for the duration of one request; whatever it still holds is returned at the end."""
        claim = Claim(session_id=session_id, user_id=user_id, waiting_gens=waiting_gens)
        self._by_session.setdefault(session_id, []).append(claim)
        try:
            yield claim
        finally:
            held = self._by_session[session_id]
            held.remove(claim)
            if not held:
                del self._by_session[session_id]

    def counters(self, session_id: str) -> JsonObject:
        """The wire's `status` object: the sums over the session's claims."""
        return _summed(self._by_session.get(session_id, ()))

    def total(self, user_id: str | None = None) -> JsonObject:
        """The same sums over all sessions, or those of one user."""
        every = [claim for held in self._by_session.values() for claim in held]
        return _summed([claim for claim in every if user_id is None or claim.user_id == user_id])

    def work(self, user_id: str) -> float:
        """How much work waits for a user."""
        every = [claim for held in self._by_session.values() for claim in held]
        return sum(claim.cost * claim.waiting_gens for claim in every if claim.user_id == user_id)

    def interrupt(self, chosen: Callable[[Claim], bool]) -> int:
        """Interrupt every open claim that `chosen` accepts; requests made afterwards are unaffected."""
        found = [claim for held in self._by_session.values() for claim in held if chosen(claim)]
        for claim in found:
            claim.interrupt()
        return len(found)


def _summed(held: Iterable[Claim]) -> JsonObject:
    found = tuple(held)
    return {
        "waiting_gens": sum(claim.waiting_gens for claim in found),
        "loading_models": sum(claim.loading_models for claim in found),
        "waiting_backends": sum(claim.waiting_backends for claim in found),
        "live_gens": sum(claim.live_gens for claim in found),
    }
