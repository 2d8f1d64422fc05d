"""What a restart knows of pictures whose file came to be while their row did not hear of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.base.database import Database
from swarm.outputs.places import Places


@pytest.mark.case("F1")
def test_pictures_on_disk_are_known_and_other_notes_forgotten(tmp_path: Path) -> None:
    database = Database(tmp_path / "index.db", durable=False)
    places = Places(database, lambda: 1000.0)
    there, missing, done = (tmp_path / name for name in ("there.png", "missing.png", "done.png"))
    there.write_bytes(b"x")
    done.write_bytes(b"x")
    places.note("job", 0, "Output/there.png", there)
    places.note("job", 1, "Output/missing.png", missing)
    places.note("ended", 0, "Output/done.png", done)
    assert places.kept(["job", "other"]) == {"job": {0: "Output/there.png"}}

    missing.write_bytes(b"the picture of somebody else, who got the name after the restart")
    assert places.kept(["job", "ended"]) == {"job": {0: "Output/there.png"}}
    database.close()


def test_old_notes_go_by_themselves(tmp_path: Path) -> None:
    now = [1000.0]
    database = Database(tmp_path / "index.db", durable=False)
    places = Places(database, lambda: now[0])
    for job in ("old", "new"):
        (tmp_path / job).write_bytes(b"x")
        places.note(job, 0, job, tmp_path / job)
        now[0] += 25 * 3600
    assert places.kept(["old", "new"]) == {"new": {0: "new"}}
    database.close()
