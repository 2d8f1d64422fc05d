"""Which id each part of a prompt gets (swarm-t2i 5.4): 11, 12, … in the order the parts are met, each id once.

A negative prompt's part that reads as one of the prompt's is that part, and has its id.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm.prompt.marks import highest_section

FIRST = 11
HIGHEST = 99_999


@dataclass
class Numbering:
    """Ids given so far. `again`: ids of an earlier text's parts, by what the tag says, to be taken up in order."""

    last: int = FIRST - 1
    given: dict[str, list[int]] = field(default_factory=dict)
    again: dict[str, list[int]] = field(default_factory=dict)

    def begin(self, text: str) -> None:
        """A further text comes. Ids that it brings along, from a picture's metadata, are kept and not given anew."""
        self.again, self.given = self.given, {}
        self.last = min(max(self.last, highest_section(text)), HIGHEST)

    def number(self, tag: str, brought: int | None) -> int:
        """The id of the part that `tag` begins; `brought`: the one it had in the text."""
        known = self.again.get(tag)
        if brought is not None and FIRST <= brought <= HIGHEST:
            id = brought
        elif known:
            id = known.pop(0)
        else:
            id = self.last = self.last + 1
        self.given.setdefault(tag, []).append(id)
        return id
