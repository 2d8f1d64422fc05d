"""Points where declared functions may act. A hook is a value; the app collects and orders them at start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class HookPoint:
    """A named moment. `doc` says when it happens and what the function is given."""

    id: str
    doc: str


@dataclass(frozen=True, kw_only=True)
class Hook:
    """`function` runs at `point`; lower `order` first, ties by id."""

    id: str
    point: HookPoint
    order: float
    function: Callable[..., Any]


def hook(point: HookPoint, *, order: float = 0.0) -> Callable[[Callable[..., Any]], Hook]:
    """Declare a function as a hook: `@hook(BEFORE_GENERATE) async def shiny(...)`."""

    def declare(function: Callable[..., Any]) -> Hook:
        return Hook(id=f"{function.__module__}.{function.__qualname__}", point=point, order=order, function=function)

    return declare


class Hooks:
    """The collected hooks, sorted per point."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        by_point: dict[str, list[Hook]] = {}
        for found in hooks:
            by_point.setdefault(found.point.id, []).append(found)
        self._by_point: Mapping[str, tuple[Hook, ...]] = {
            point: tuple(sorted(found, key=lambda one: (one.order, one.id))) for point, found in by_point.items()
        }

    def at(self, point: HookPoint) -> tuple[Hook, ...]:
        return self._by_point.get(point.id, ())

    async def thread_through(self, point: HookPoint, value: Any, *context: Any) -> Any:
        """Hand `value` from hook to hook; each may return a replacement, or None to keep it.

        A hook that wants to end the program raises RuntimeError instead: it is not for an extension to decide.
        """
        for found in self.at(point):
            try:
                changed = await found.function(value, *context)
            except SystemExit as error:
                raise RuntimeError(f"The hook {found.id} wanted to end the program.") from error
            value = value if changed is None else changed
        return value
