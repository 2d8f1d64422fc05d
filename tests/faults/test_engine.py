"""The real engine under faults: killed, hung, fed with broken files, asked for too much. One server for all of it."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from PIL import Image

pytest.importorskip("torch")

from tests.conftest import World
from tests.faults.ledger import check, check_log, wait_until_done
from tests.support.client import SwarmClient
from tests.support.models import SD15_TENSORS, write_model
from tests.support.server import ServerProcess, free_port
from tests.support.tiny_models import tiny_sd

pytestmark = [pytest.mark.torch, pytest.mark.slow]

PATIENCE = 180.0
HANG_SECONDS = 8
BETWEEN_LOOKS = 11.0
SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a fox", "steps": 3, "seed": 5, "width": 64, "height": 64}
LONG: dict[str, Any] = {**SMALL, "steps": 150, "width": 128, "height": 128}
BACKENDS = f"0:\n\ttype: diffusers_selfstart\n\tenabled: true\n\tsettings:\n\t\tHangSeconds: {HANG_SECONDS}\n"


class Engined(World):
    """A world with a real engine and a tiny checkpoint, and a server on it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.data / "Backends.fds").write_text(BACKENDS, encoding="utf-8")
        self.checkpoints = self.models / "Stable-Diffusion"
        self.checkpoints.mkdir(parents=True)
        self.tiny = tiny_sd().save_single_file(self.checkpoints / "tiny.safetensors")
        self.log = folder / "server.log"
        self.looked_at = 0.0
        self.server = ServerProcess(folder, free_port(), log=self.log)
        self.server.wait_until_up()
        self.client = SwarmClient(self.server.base, timeout=PATIENCE)

    def engine(self) -> psutil.Process:
        """The engine's process, once there is one that can draw."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            children = psutil.Process(self.server.child.pid).children()
            engines = [child for child in children if "swarm.engine" in child.cmdline()]
            if engines and self.client.post("GetCurrentStatus")["backend_status"]["status"] == "running":
                return engines[0]
            time.sleep(0.1)
        raise AssertionError(f"No engine came up: {self.log.read_text(encoding='utf-8')[-2000:]}")

    def pixels(self, **changes: Any) -> bytes:
        answer = self.client.generate(**{**SMALL, **changes})
        assert "images" in answer, answer
        return self.fetch(answer["images"][0])

    def fetch(self, url: str) -> bytes:
        with Image.open(io.BytesIO(httpx2.get(f"{self.server.base}/{url}", trust_env=False).content)) as image:
            return image.convert("RGB").tobytes()

    def refusal(self, **changes: Any) -> str:
        """The sentence a request is answered with."""
        answer = self.client.generate(**{**SMALL, **changes})
        assert "error" in answer, answer
        sentence: str = answer["error"]
        assert str(self.folder) not in sentence
        assert "Traceback" not in sentence
        return sentence

    def refresh(self) -> list[list[str]]:
        """Look at the model folders again (the server does so every ten seconds at most); the checkpoints listed."""
        time.sleep(max(0.0, self.looked_at + BETWEEN_LOOKS - time.monotonic()))
        self.looked_at = time.monotonic()
        found: list[list[str]] = self.client.post("TriggerRefresh")["models"]["Stable-Diffusion"]
        return found

    def attempts(self) -> int:
        """How often work on the newest job began."""
        with closing(sqlite3.connect(self.data / "swarm.db")) as database:
            found: int = database.execute("SELECT attempt FROM jobs ORDER BY seq DESC LIMIT 1").fetchone()[0]
            return found


@pytest.fixture(scope="module")
def engined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engined]:
    made = Engined(tmp_path_factory.mktemp("engined"))
    try:
        made.engine()
        yield made
    finally:
        made.client.http.close()
        made.server.stop()


def alike(pixels: bytes, expected: bytes) -> bool:
    """Within one of 255: an engine that had no memory for oneDNN's code computes without it, and rounds otherwise."""
    return max(abs(one - other) for one, other in zip(pixels, expected, strict=True)) <= 1


def middle_of(messages: Iterator[dict[str, Any]]) -> None:
    """Read until the sampler is on its way."""
    told = []
    for message in messages:
        if message.get("gen_progress", {}).get("overall_percent", 0) > 0.05:
            return
        told.append(str(message)[:300])
    raise AssertionError(f"The request ended before it was on its way: {told}")


@pytest.mark.case("F3")
def test_an_engine_killed_in_mid_step_costs_time_only(engined: Engined) -> None:
    expected = engined.pixels(**LONG)
    messages = engined.client.stream("GenerateText2ImageWS", images=1, **LONG)
    middle_of(messages)
    engined.engine().kill()
    rest = list(messages)
    assert not [message for message in rest if "error" in message]
    (url,) = [message["image"] for message in rest if "image" in message]
    assert engined.attempts() == 2
    assert engined.fetch(url) == expected


@pytest.mark.case("F4")
def test_an_engine_that_hangs_is_noticed_and_replaced(engined: Engined) -> None:
    expected = engined.pixels(**LONG)
    messages = engined.client.stream("GenerateText2ImageWS", images=1, **LONG)
    middle_of(messages)
    hung = engined.engine()
    hung.suspend()
    rest = list(messages)
    (url,) = [message["image"] for message in rest if "image" in message]
    assert engined.fetch(url) == expected
    assert not hung.is_running()
    assert "did not answer any more" in engined.log.read_text(encoding="utf-8")


@pytest.mark.case("F4")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_an_engine_that_is_told_to_end_comes_back(engined: Engined, number: int) -> None:
    engined.engine().send_signal(number)
    assert engined.pixels()


class Canary:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def broken_files(engined: Engined) -> list[str]:
    """One file of each kind of damage; their names."""
    good = engined.tiny.read_bytes()
    folder = engined.checkpoints
    length = int.from_bytes(good[:8], "little")
    entry = {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}
    contents = {
        "empty": b"",
        "page": b"<!DOCTYPE html><html><body>Log in to download</body></html>",
        "pickled": pickle.dumps(Canary(engined.folder / "canary"), protocol=4),
        "old-pickled": pickle.dumps(Canary(engined.folder / "canary"), protocol=0),
        "zipped": b"PK\x03\x04" + bytes(200),
        "endless": (2**63).to_bytes(8, "little") + b"{}" + bytes(100),
        "cut": good[: len(good) * 2 // 3],
        "cut-in-header": good[: 8 + length // 2],
        "noise": bytes(range(256)) * 8,
        "no-model": _safetensors({"a": entry}, 8),
        "overlapping": _safetensors(_named(entry), 8),
        "lying": _safetensors(_named({**entry, "shape": [4096, 4096]}), 8),
        "strange-type": _safetensors(_named({**entry, "dtype": "Q99"}), 8),
    }
    for name, content in contents.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    (folder / "legacy.ckpt").write_bytes(contents["pickled"])
    write_model(folder / "weightless.safetensors")
    for name, pipeline in (("hollow", "StableDiffusionPipeline"), ("hollow-whole", "PixArtAlphaPipeline")):
        (folder / name).mkdir()
        index = {"_class_name": pipeline, "_diffusers_version": "0.30.0", "unet": ["diffusers", "UNet2DConditionModel"]}
        (folder / name / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return [*contents, "legacy.ckpt", "weightless", "hollow", "hollow-whole"]


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a real model, all with the same entry."""
    return dict.fromkeys(SD15_TENSORS, entry)


def _safetensors(header: dict[str, Any], size: int) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


@pytest.mark.case("F11")
def test_broken_model_files_are_a_sentence_each(engined: Engined) -> None:
    expected = engined.pixels()
    pid = engined.engine().pid
    names = broken_files(engined)
    listed = engined.refresh()
    known = {name.removesuffix(".safetensors") for name, _ in listed}
    for name in names:
        assert name in known
        started = time.monotonic()
        sentence = engined.refusal(model=name)
        assert time.monotonic() - started < 60
        assert sentence.endswith("."), (name, sentence)
        assert name in sentence, (name, sentence)
    assert not (engined.folder / "canary").exists(), "a pickle was opened"
    assert engined.engine().pid == pid, "a broken file took the engine down"
    assert alike(engined.pixels(), expected)


@pytest.mark.case("F6")
def test_a_picture_that_does_not_fit_is_a_sentence(engined: Engined) -> None:
    assert "too large" in engined.refusal(width=16384, height=16384)
    assert engined.pixels()


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="no limits of other processes here")
@pytest.mark.case("F6")
def test_an_engine_without_memory_says_so(engined: Engined) -> None:
    engine = engined.engine()
    expected = engined.pixels()
    engine.rlimit(psutil.RLIMIT_AS, (engine.memory_info().vms + 64 * 2**20, -1))
    try:
        sentence = engined.refusal(width=2048, height=2048, steps=1)
    finally:
        engine.rlimit(psutil.RLIMIT_AS, (-1, -1))
    assert "memory" in sentence
    assert engined.engine().pid == engine.pid
    assert alike(engined.pixels(), expected)


@pytest.mark.case("F23")
def test_a_model_file_that_goes_away_or_changes_while_loaded(engined: Engined) -> None:
    good = engined.tiny.read_bytes()
    expected = engined.pixels()
    messages = engined.client.stream("GenerateText2ImageWS", images=1, **LONG)
    middle_of(messages)
    engined.tiny.unlink()
    assert [message for message in messages if "image" in message], "the running picture did not survive"
    engined.refresh()
    assert "tiny" in engined.refusal()
    tiny_sd(seed=9).save_single_file(engined.tiny)
    engined.refresh()
    assert engined.pixels() != expected
    engined.tiny.write_bytes(good[:5000])  # in place, under a model that may be mapped into memory
    engined.client.generate(**{**SMALL, "seed": 6})
    assert "Traceback" not in engined.log.read_text(encoding="utf-8")
    engined.tiny.write_bytes(good)
    engined.refresh()
    assert alike(engined.pixels(), expected)


@pytest.mark.case("F5")
def test_no_engine_outlives_its_server(engined: Engined) -> None:
    """The last one: the server is gone afterwards. An engine that is stopped just then ends when it goes on."""
    messages = engined.client.stream("GenerateText2ImageWS", images=1, **LONG)
    middle_of(messages)
    engine = engined.engine()
    engined.server.kill()
    _, alive = psutil.wait_procs([engine], timeout=10)
    assert not alive
    port = int(engined.server.base.rpartition(":")[2])
    engined.server = ServerProcess(engined.folder, port, log=engined.log)
    engined.server.wait_until_up()
    states = wait_until_done(engined, seconds=PATIENCE)
    assert not states.keys() & {"pending", "running"}
    check(engined, engined.server.base)
    check_log(engined.log)
    engine = next(
        child for child in psutil.Process(engined.server.child.pid).children() if "swarm.engine" in child.cmdline()
    )
    engine.suspend()
    engined.server.kill()
    engine.resume()
    _, alive = psutil.wait_procs([engine], timeout=10)
    assert not alive
