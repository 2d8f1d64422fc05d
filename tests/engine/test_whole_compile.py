"""Compiling in whole pipelines: blocks are compiled while nobody waits, and clips stay what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm.jobs.job import ModelFile
from swarm.media.clip import Clip
from tests.engine.conftest import Bench
from tests.engine.test_compile import Count, count, told_to_the_server
from tests.engine.test_videos import result, run
from tests.support.tiny import video

__all__ = ["count"]
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")]


@pytest.fixture
def wan(tmp_path: Path) -> ModelFile:
    return ModelFile(name="wan", path=video.save("wan", tmp_path), family=None, stamp="1")


def far(one: Clip, other: Clip) -> int:
    """The largest difference of two levels."""
    return max(abs(a - b) for a, b in zip(one.data, other.data, strict=True))


def test_blocks_are_compiled_when_nobody_waits(fresh: Bench, wan: ModelFile, count: type[Count]) -> None:
    asked: dict[str, Any] = {"steps": 2, "textvideoframes": 9, "torchcompile": "counting"}
    plain = result(run(fresh, wan))
    id = fresh.submit(wan, (1,), **asked)
    until_over(fresh, id)
    assert count.runs == 0, "a clip waited for the compiler"
    assert result(fresh.events(id)).data == plain.data
    waiting = fresh.whole.regions.waiting
    assert waiting >= 2
    fresh.finish()
    assert fresh.whole.regions.waiting == 0
    assert told_to_the_server(fresh) == (waiting, 0)
    graphs, count.runs = count.graphs, 0
    again = result(run(fresh, wan, torchcompile="counting"))
    assert count.runs == 2 * 2 * 2, "two blocks, in two steps, for both prompts"
    assert count.graphs == graphs
    assert far(again, plain) <= 1
    assert result(run(fresh, wan)).data == plain.data, "nothing stays behind"


def until_over(bench: Bench, id: str) -> None:
    """Turn until a clip is out, and no further."""
    while id not in bench.finished:
        assert bench.turn()
