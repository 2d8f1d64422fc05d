"""kill -9 at random moments, of the server and of the engine: what becomes of pictures that were accepted.

    python -m benchmarks.kills [--server 50] [--engine 20] [--real 6] [--seed 20]

Each server kill falls into a run of ten pictures and is followed by a start on the same folder; `--real` of them use
the real engine on a tiny random model, the others the fake backend. Engine kills leave the server running. Accepted is
what has a row; stored is what has a row that says so. Lost are pictures without a whole file. Last line:
{"server_kills", "engine_kills", "lost", "truncated", "pending_left", …}.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table
from websockets.exceptions import ConnectionClosed

from benchmarks.serving import wait_for_engine
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import ServerProcess, fake_backends, free_port
from tests.support.tiny_models import tiny_sd

IMAGES = 10
FAKE_SECONDS = 0.5
"""A run on the fake backend is over after about this long; kills fall anywhere within."""
SETTLE_SECONDS = 240.0
KILLS_PER_SERVER = 2
"""An engine that keeps dying is started again after longer and longer pauses; more kills would measure those."""


@dataclass
class Tally:
    """What happened over all kills of one kind."""

    kills: int = 0
    accepted: int = 0
    announced: int = 0
    stored: int = 0
    lost: int = 0
    truncated: int = 0
    duplicated: int = 0
    leftovers: int = 0
    pending_left: int = 0
    missing_urls: int = 0
    unlisted: int = 0
    restart_seconds: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Watcher(threading.Thread):
    """Asks for ten pictures and notes every URL it is told, until the line breaks or the server closes it."""

    def __init__(self, base: str, first_seed: int, steps: int) -> None:
        super().__init__(daemon=True)
        self.client = SwarmClient(base, timeout=120)
        self.first_seed = first_seed
        self.body = {
            **{"session_id": self.client.session_id, "images": IMAGES, "prompt": "x", "model": "tiny"},
            **{"seed": first_seed, "steps": steps, "width": 64, "height": 64},
        }
        self.announced: list[str] = []
        self.errors: list[str] = []
        self.asked = threading.Event()
        self.began = threading.Event()

    def run(self) -> None:
        with self.client, suppress(ConnectionClosed, OSError), self.client.socket("GenerateText2ImageWS") as socket:
            socket.send(json.dumps(self.body))
            self.asked.set()
            for text in socket:
                message = json.loads(text)
                if "gen_progress" in message:
                    self.began.set()
                if "image" in message:
                    self.announced.append(message["image"])
                if "error" in message:
                    self.errors.append(message["error"])


class Place:
    """A folder with a server on it. `seed`: the next that nobody has used; `accepted`: rows after the last kill."""

    def __init__(self, folder: Path, *, real: bool) -> None:
        self.folder = folder
        self.real = real
        self.port = free_port()
        self.seed = 1
        self.accepted = 0
        (folder / "Data").mkdir(parents=True)
        model = folder / "Models" / "Stable-Diffusion" / "tiny.safetensors"
        if real:
            model.parent.mkdir(parents=True)
            tiny_sd().save_single_file(model)
        else:
            write_model(model)
            fake = fake_backends(StepMilliseconds=8, MaxUsages=2)
            (folder / "Data" / "Backends.fds").write_text(fake, encoding="utf-8")

    @property
    def steps(self) -> int:
        return 12 if self.real else 4

    def start(self) -> ServerProcess:
        server = ServerProcess(self.folder, self.port, log=self.folder / "server.log")
        server.wait_until_up()
        return server

    def wait_for_engine(self, server: ServerProcess) -> None:
        wait_for_engine(server.base, self.folder / "server.log")

    def next_watcher(self, server: ServerProcess) -> Watcher:
        """A client whose seeds nobody else uses."""
        watcher = Watcher(server.base, self.seed, self.steps)
        self.seed += IMAGES
        return watcher

    def states(self) -> Counter[str]:
        with closing(sqlite3.connect(self.folder / "Data" / "swarm.db")) as database:
            return Counter(dict(database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall()))

    def wait_until_done(self) -> Counter[str]:
        """The rows once none is open, or after a long time."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (states := self.states()) and time.monotonic() < deadline:
            if not states["pending"] and not states["running"]:
                break
            time.sleep(0.05)
        return states

    def files(self) -> set[Path]:
        return {path for path in (self.folder / "Output").rglob("*") if path.is_file()}


def seed_of(path: Path) -> int | None:
    """The seed in a picture's metadata; None when the file is not a whole picture."""
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            return int(json.loads(image.info["parameters"])["sui_image_params"]["seed"])
    except (OSError, SyntaxError, ValueError, KeyError):
        return None


def judge(place: Place, server: ServerProcess, watcher: Watcher, old: set[Path], before: Counter[str]) -> Tally:
    """Compare what one run was promised with what is there now. `old`, `before`: files and rows before the run."""
    accepted = place.accepted - before.total()
    states = place.wait_until_done()
    new = place.files() - old
    pictures = {path for path in new if path.suffix == ".png"}
    seeds = Counter(seed_of(path) for path in pictures)
    truncated = seeds.pop(None, 0)
    wanted = range(watcher.first_seed, watcher.first_seed + accepted)
    with SwarmClient(server.base) as client:
        listed = client.post("ListImages", path="", depth=5)["files"]
    urls = [httpx2.get(f"{server.base}/{url}", trust_env=False).status_code for url in watcher.announced]
    return Tally(
        kills=1,
        accepted=accepted,
        announced=len(watcher.announced),
        stored=states["stored"] - before["stored"],
        lost=sum(1 for seed in wanted if not seeds[seed]) + max(0, place.accepted - states.total()),
        truncated=truncated,
        duplicated=sum(number - 1 for number in seeds.values()),
        leftovers=len(new - pictures),
        pending_left=states["pending"] + states["running"],
        missing_urls=sum(1 for status in urls if status != 200),
        unlisted=max(0, len([path for path in place.files() if path.suffix == ".png"]) - len(listed)),
    )


def kill_server(place: Place, moment: float) -> Tally:
    """One run of ten pictures whose server dies `moment` seconds after it was asked for."""
    server = place.start()
    if place.real:
        place.wait_for_engine(server)
    before, old = place.states(), place.files()
    watcher = place.next_watcher(server)
    watcher.start()
    watcher.asked.wait(30)
    time.sleep(moment)
    server.kill()
    watcher.join(30)
    place.accepted = place.states().total()
    begun = time.monotonic()
    server = place.start()
    seconds = time.monotonic() - begun
    try:
        tally = judge(place, server, watcher, old, before)
    finally:
        server.stop()
    tally.restart_seconds.append(seconds)
    return tally


def kill_engines(place: Place, kills: int, rng: random.Random) -> Tally:
    """Runs of ten pictures on one server whose engine is killed once in each, and comes back later each time."""
    total = Tally()
    server = place.start()
    try:
        for _ in range(kills):
            place.wait_for_engine(server)
            before, old = place.states(), place.files()
            watcher = place.next_watcher(server)
            watcher.start()
            watcher.began.wait(60)
            time.sleep(rng.uniform(0.0, 1.0))
            begun = time.monotonic()
            for child in psutil.Process(server.child.pid).children():
                if "swarm.engine" in child.cmdline():
                    child.kill()
            watcher.join(SETTLE_SECONDS)
            place.accepted = place.states().total()
            tally = judge(place, server, watcher, old, before)
            tally.lost += len(watcher.errors)
            tally.restart_seconds.append(time.monotonic() - begun)
            total.add(tally)
    finally:
        server.stop()
    return total


def repeated(times: int, kill: Callable[[int], Tally], what: str, *, at_once: int = 1) -> Tally:
    """The sum of `times` kills, `at_once` of them with each call, and a line that tells how far it is."""
    total = Tally()
    while total.kills < times:
        total.add(kill(min(at_once, times - total.kills)))
        sys.stderr.write(f"\r{what}: {total.kills} of {times}")
        sys.stderr.flush()
    if times:
        sys.stderr.write("\n")
    return total


def main() -> int:
    options = _options()
    rng = random.Random(options.seed)
    real = min(options.real, options.server)
    with tempfile.TemporaryDirectory() as name:
        fake_place = Place(Path(name) / "fake", real=False)
        real_place = Place(Path(name) / "real", real=True)
        rows = {
            "server, fake backend": repeated(
                options.server - real, lambda _: kill_server(fake_place, rng.uniform(0, FAKE_SECONDS)), "server kills"
            ),
            "server, real engine": repeated(
                real, lambda _: kill_server(real_place, rng.uniform(0, 4)), "server kills, real engine"
            ),
            "engine": repeated(
                options.engine,
                lambda kills: kill_engines(real_place, kills, rng),
                "engine kills",
                at_once=KILLS_PER_SERVER,
            ),
        }
    _report(rows)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", type=int, default=50, help="kills of the server")
    parser.add_argument("--engine", type=int, default=20, help="kills of the engine")
    parser.add_argument("--real", type=int, default=6, help="how many of the server kills use the real engine")
    parser.add_argument("--seed", type=int, default=20, help="decides the moments")
    return parser.parse_args()


def _report(rows: dict[str, Tally]) -> None:
    table = Table(title="kill -9 at random moments of runs of ten pictures")
    columns = (
        *("kills", "accepted", "stored", "lost", "truncated", "duplicated"),
        *("leftovers", "pending_left", "missing_urls", "unlisted"),
    )
    table.add_column("killed")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    table.add_column("back after (worst)", justify="right")
    total = Tally()
    for name, tally in rows.items():
        total.add(tally)
        worst = f"{max(tally.restart_seconds):.1f} s" if tally.restart_seconds else ""
        table.add_row(name, *(str(getattr(tally, column)) for column in columns), worst)
    Console(width=140).print(table)
    server = rows["server, fake backend"], rows["server, real engine"]
    restarts = [seconds for tally in server for seconds in tally.restart_seconds]
    figures = {
        "server_kills": sum(tally.kills for tally in server),
        "engine_kills": rows["engine"].kills,
        **{column: getattr(total, column) for column in columns if column != "kills"},
        "worst_start_s": round(max(restarts, default=0.0), 2),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    sys.exit(main())
