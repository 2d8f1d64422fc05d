"""An output folder with an index, and pictures to put into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarm.base.database import Database
from swarm.media.formats import encode
from swarm.media.image import Pixels
from swarm.outputs.history import History, Listing
from swarm.outputs.index import HistoryIndex
from swarm.outputs.stars import Stars
from swarm.outputs.store import OutputStore, Saved, SaveRequest

GREY = Pixels(width=4, height=4, mode="RGB", data=bytes([90]) * 48)
LATER = 4_000_000_000.0
"""A clock for which every folder has long settled."""


@dataclass
class Shelves:
    """The stores of one server, on a temporary folder."""

    database: Database
    store: OutputStore
    history: History
    stars: Stars

    def save(self, template: str, metadata: str | None = None, *, user: str = "local", format: str = "PNG") -> Saved:
        encoded = encode(GREY, format, metadata=metadata)
        return self.store.save(
            SaveRequest(user_id=user, template=template, tokens={}, max_part=40, encoded=encoded, metadata=metadata)
        )

    def listed(self, path: str = "", depth: int = 5, **options: object) -> list[str]:
        answer = self.history.list(Listing(user_id="local", path=path, depth=depth, **options))  # type: ignore[arg-type]
        return [file["src"] for file in answer["files"]]  # type: ignore[union-attr, index, call-overload, misc]


def open_shelves(folder: Path, *, append_user: bool = True, now: float = LATER) -> Shelves:
    database = Database(folder / "index.db", durable=False)
    index = HistoryIndex(database)
    store = OutputStore(folder / "Output", append_user=append_user, index=index, clock=lambda: now)
    return Shelves(database, store, History(store), Stars(store))
