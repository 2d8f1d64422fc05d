"""What `<random>` and `<wildcard>` have in common: several picks from a list, without repeating any too early."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.prompt.numbers import interpret_count, pick_in_range
from swarm.prompt.tag import TagContext


def pick(options: Sequence[str], predata: str | None, context: TagContext, *, ranges: bool) -> str | None:
    """One pick, or as many as `predata` (`3`, `2-4`, `3,`) says, joined with a space or, after a comma, with `, `.

    None when the count is not a number. With `ranges`, a picked `1-5` is drawn from and is the whole result.
    """
    separator = " "
    wanted: int | None = 1
    if predata is not None:
        separator = ", " if predata.endswith(",") else " "
        wanted = interpret_count(predata.removesuffix(","), context)
    if wanted is None:
        return None
    left: list[str] = []
    picked: list[str] = []
    for _ in range(wanted):
        left = left or list(options)
        choice = left.pop(context.index_below(len(left)))
        if ranges and (number := pick_in_range(choice, context)) is not None:
            return number
        picked.append(context.expand(choice).strip() + separator)
    return "".join(picked).strip()
