"""Rounds of bare diffusers and of the server, turn by turn, and the ratios within each round."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from benchmarks.bare import Bare
from tests.support.client import SwarmClient

CFG = 7.0
SMALL, FULL = 128, 512
ALONE, EIGHT, FOUR, SPACED = 5, 8, 4, 12
GAP = 0.7
"""Seconds between spaced arrivals, in bare pictures: more than one at a time, less than all at once."""
MOST = 8


class Sharing:
    """Measures one server against one bare pipeline."""

    def __init__(self, bare: Bare, client: SwarmClient, *, steps: int, rounds: int) -> None:
        self._bare = bare
        self._client = client
        self._steps = steps
        self._rounds = rounds
        self._seeds = itertools.count(1)

    def figures(self) -> dict[str, float]:
        """Every figure; prints nothing."""
        self._warm_up()
        found: dict[str, list[float]] = {}
        for _ in range(self._rounds):
            for name, value in self._round().items():
                found.setdefault(name, []).append(value)
        figures = {name: round(statistics.median(values), 4) for name, values in found.items()}
        return figures | {"bare_cpu_seconds": round(self._bare.cpu_seconds, 2), "server_cpu_seconds": _cpu_seconds()}

    def _warm_up(self) -> None:
        """First calls build caches, and the batcher learns what sharing gains."""
        for side in (SMALL, FULL):
            self._plain(side)
            self._picture(side)
        for _ in range(3):
            self._at_once(EIGHT, 2, SMALL)
        for _ in range(2):
            self._at_once(FOUR, 1, FULL)

    def _round(self) -> dict[str, float]:
        bare = statistics.median(self._plain(SMALL) for _ in range(ALONE))
        alone = statistics.median(self._picture(SMALL) for _ in range(ALONE))
        eight = self._at_once(EIGHT, 2, SMALL)
        bare_full = statistics.median(self._plain(FULL) for _ in range(2))
        four_full = self._at_once(FOUR, 1, FULL)
        stepwise = self._spaced(bare * GAP, self._picture_small)
        requests = RequestBatches(self._bare, self._steps)
        whole = self._spaced(bare * GAP, requests.picture)
        requests.close()
        with_previews = self._sockets(previews=True, save=True)
        without = self._sockets(previews=False, save=True)
        unsaved = self._sockets(previews=False, save=False)
        return {
            "alone_ratio": alone / bare,
            "eight_clients_ratio": bare / eight,
            "saturated_ratio": bare_full / four_full,
            "spaced_latency_ratio": stepwise / whole,
            "preview_cost": 1.0 - without / with_previews,
            "save_cost": 1.0 - unsaved / without,
            "bare_seconds": bare,
        }

    def _plain(self, side: int) -> float:
        return self._bare.picture(seed=next(self._seeds), steps=self._steps, side=side, cfg=CFG)

    def _picture_small(self) -> None:
        self._picture(SMALL)

    def _picture(self, side: int, **more: Any) -> float:
        """Seconds from asking to holding the URL of the saved picture."""
        begun = time.perf_counter()
        answer = self._client.generate(**self._request(side), **more)
        if "images" not in answer:
            raise RuntimeError(str(answer))
        return time.perf_counter() - begun

    def _request(self, side: int) -> dict[str, Any]:
        return {
            "prompt": "a red house by the sea",
            "model": "small",
            "seed": next(self._seeds),
            "steps": self._steps,
            "cfgscale": CFG,
            "width": side,
            "height": side,
            "sampler": "euler",
            "scheduler": "normal",
        }

    def _at_once(self, clients: int, each: int, side: int) -> float:
        """Seconds per picture when `clients` ask at once, `each` pictures one after the other."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda _: [self._picture(side) for _ in range(each)], range(clients)))
        return (time.perf_counter() - begun) / (clients * each)

    def _spaced(self, gap: float, picture: Callable[[], None]) -> float:
        """Mean seconds to a picture when requests come every `gap` seconds."""

        def timed() -> float:
            begun = time.perf_counter()
            picture()
            return time.perf_counter() - begun

        with ThreadPoolExecutor(SPACED) as pool:
            waiting = []
            for _ in range(SPACED):
                waiting.append(pool.submit(timed))
                time.sleep(gap)
            return statistics.mean(each.result() for each in waiting)

    def _sockets(self, *, previews: bool, save: bool) -> float:
        """Seconds per picture of four WebSocket clients, two pictures each."""
        values = {"nopreviews": not previews, "donotsave": not save}

        def two(_: int) -> None:
            for _ in range(2):
                messages = self._client.generate_ws(**self._request(SMALL), **values)
                if not any("image" in message for message in messages):
                    raise RuntimeError(str(messages[-1]))

        begun = time.perf_counter()
        with ThreadPoolExecutor(FOUR) as pool:
            list(pool.map(two, range(FOUR)))
        return (time.perf_counter() - begun) / (2 * FOUR)


class RequestBatches:
    """A server that runs whatever waits as one `pipe()` call, at most eight pictures: what others do at best."""

    def __init__(self, bare: Bare, steps: int) -> None:
        self._bare = bare
        self._steps = steps
        self._waiting: list[threading.Event] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def picture(self) -> None:
        """Return when a picture asked for now is finished."""
        done = threading.Event()
        with self._changed:
            self._waiting.append(done)
            self._changed.notify()
        done.wait()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            self._bare.batch(seeds=range(len(batch)), steps=self._steps, side=SMALL, cfg=CFG)
            for done in batch:
                done.set()


def _cpu_seconds() -> float:
    """CPU seconds of this program's other children and their children: the server and its engine."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        if "benchmarks.bare" not in child.cmdline():
            times = child.cpu_times()
            total += times.user + times.system
    return round(total, 2)
