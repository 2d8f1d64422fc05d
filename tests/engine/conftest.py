"""An engine in this process, on tiny models; torch is imported once for all of these tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from swarm.engine.batcher import Batcher  # noqa: E402
from swarm.engine.device import Device, choose_device  # noqa: E402
from swarm.engine.limits import RowLimit  # noqa: E402
from swarm.engine.loader import Families  # noqa: E402
from swarm.engine.mailbox import Mailbox  # noqa: E402
from swarm.engine.memory import Models  # noqa: E402
from swarm.engine.pipeline import WholePipelines  # noqa: E402
from swarm.engine.start import be_quiet, families, methods  # noqa: E402
from swarm.engine.worker import Worker  # noqa: E402
from swarm.jobs.events import BackendEvent, ImageDone  # noqa: E402
from swarm.jobs.frames import Answer, Cancel, Event, JobDone, JobFailed, Request, Run  # noqa: E402
from swarm.jobs.job import Job, LoraUse, ModelFile  # noqa: E402
from swarm.media.image import Pixels  # noqa: E402
from swarm.params.input import GenerationInput  # noqa: E402
from tests.support.tiny_models import Tiny, tiny_sd, tiny_sdxl  # noqa: E402

SD, XL = "stable-diffusion-v1", "stable-diffusion-xl-v1-base"


@dataclass
class Bench:
    """Drives an engine's worker by hand, one turn at a time, and sorts what it says by job."""

    worker: Worker
    batcher: Batcher
    models: Models
    mailbox: Mailbox
    whole: WholePipelines
    said: dict[str, list[Any]] = field(default_factory=dict)
    other: list[Answer] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=count)

    def send(self, message: Request) -> None:
        self.mailbox.inbox.put(message)

    def submit(
        self, model: ModelFile, seeds: tuple[int, ...] = (1,), *, loras: tuple[LoraUse, ...] = (), **values: Any
    ) -> str:
        """Put a job in; its id."""
        id = f"job{next(self._ids)}"
        values = {"prompt": "a fox", "steps": 3, "width": 64, "height": 64, "cfgscale": 6.0, **values}
        variations = tuple(values.pop("variation_seeds", ()))
        files, parts = values.pop("files", {}), values.pop("parts", {})
        previews = bool(values.pop("wants_previews", True))
        job = Job(
            id=id,
            input=GenerationInput(values),
            model=model,
            seeds=seeds,
            loras=loras,
            variation_seeds=variations,
            files=files,
            parts=parts,
            wants_previews=previews,
        )
        self.send(Run(job=job))
        return id

    def turn(self) -> bool:
        busy = self.worker.turn(wait=False)
        self._sort()
        return busy

    def finish(self) -> None:
        while self.turn():
            pass

    def cancel(self, id: str) -> None:
        self.mailbox.cancelled.add(id)
        self.send(Cancel(id=id))

    def picture(self, model: ModelFile, seed: int = 1, **values: Any) -> Any:
        """Make one picture alone; its pixels (height, width, 3) as a float array from 0 to 255."""
        id = self.submit(model, (seed,), **values)
        self.finish()
        return self.pixels(id)

    def pixels(self, id: str, index: int = 0) -> Any:
        results = [event.result for event in self.events(id) if isinstance(event, ImageDone) and event.index == index]
        assert len(results) == 1, self.said.get(id)
        assert isinstance(results[0], Pixels)
        shape = results[0].height, results[0].width, 3
        return torch.frombuffer(bytearray(results[0].data), dtype=torch.uint8).reshape(shape).float()

    def events(self, id: str) -> list[BackendEvent]:
        return [answer.event for answer in self.said.get(id, []) if isinstance(answer, Event)]

    def failure(self, id: str) -> JobFailed:
        failures = [answer for answer in self.said.get(id, []) if isinstance(answer, JobFailed)]
        assert len(failures) == 1, self.said.get(id)
        return failures[0]

    def _sort(self) -> None:
        while not self.mailbox.outbox.empty():
            answer = self.mailbox.outbox.get()
            assert answer is not None
            id = getattr(answer, "id", None)
            if isinstance(answer, JobDone):
                self.finished.append(answer.id)
            (self.other if id is None else self.said.setdefault(id, [])).append(answer)


@pytest.fixture(scope="session")
def tiny() -> Mapping[str, Tiny]:
    be_quiet()
    return {SD: tiny_sd(), XL: tiny_sdxl(), "deep": tiny_sd(1, vae_levels=5)}


@pytest.fixture(scope="session")
def files(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    """The tiny models as single files."""
    folder = tmp_path_factory.mktemp("models")
    made: dict[str, ModelFile] = {}
    for name, model in tiny.items():
        path = model.save_single_file(folder / f"{name.split('-')[-1]}-{len(made)}.safetensors")
        made[name] = ModelFile(name=path.name, path=path, family=XL if name == XL else SD, stamp="1")
    return made


def new_bench(
    limit: int | None = 16,
    *,
    device: Device | None = None,
    clock: Callable[[], float] = time.monotonic,
    residency: str = "auto",
    families_: Families | None = None,
) -> Bench:
    """An engine whose calls take up to `limit` rows; None: as many as it learns to be worth it."""
    be_quiet()
    mailbox, device = Mailbox(), device or choose_device(0, "auto")
    known = methods()
    models = Models(device, families_ or families(residency), clock, known.patches)
    whole = WholePipelines(device, known, mailbox.cancelled, make_room=lambda: models.drop_others(None))
    batcher = Batcher(
        models, known, clock, make_limit=lambda: RowLimit() if limit is None else RowLimit(fixed=limit), film=whole.film
    )
    worker = Worker(mailbox, models, batcher, whole, clock)
    return Bench(worker=worker, batcher=batcher, models=models, mailbox=mailbox, whole=whole)


@pytest.fixture
def fresh() -> Iterator[Bench]:
    """An engine that has loaded nothing."""
    with torch.inference_mode():
        yield new_bench()


@pytest.fixture(scope="session")
def shared() -> Bench:
    return new_bench()


@pytest.fixture
def bench(shared: Bench) -> Iterator[Bench]:
    """The engine all tests share; models stay loaded between them."""
    with torch.inference_mode():
        yield shared
    with torch.inference_mode():
        shared.finish()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path
