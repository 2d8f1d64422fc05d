"""Model files as attackers make them: pickles under other names, damaged headers, code beside weights."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from swarm.base.errors import BadInput
from swarm.catalog.headers import read_header
from swarm.catalog.pickles import torch_problem
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import REPOSITORY, ServerProcess, free_port, options_for, server_in_thread

SMALL: dict[str, Any] = {"prompt": "a cat", "steps": 1, "seed": 5, "width": 64, "height": 64, "images": 1}
MUTATIONS = 3000
SECONDS = 10.0
MOST_MEMORY = 200 * 1024 * 1024


class Hostile:
    """What runs when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.canary}",))


def zipped(canary: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("archive/data.pkl", pickle.dumps(Hostile(canary)))
        made.writestr("archive/version", "3")
    return data.getvalue()


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canary") / "was-here"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, canary: Path) -> Iterator[SwarmClient]:
    """A server whose model folder holds one good model and pickles under every name there is."""
    world = World(tmp_path_factory.mktemp("models"))
    world.backends(StepMilliseconds=0)
    folder = world.models / "Stable-Diffusion"
    good = write_model(folder / "tiny.safetensors").read_bytes()
    for number, data in enumerate((pickle.dumps(Hostile(canary)), zipped(canary), good[:-1])):
        for suffix in ("safetensors", "gguf", "sft", "ckpt"):
            (folder / f"evil{number}.{suffix}").write_bytes(data)
    (folder / "tail.safetensors").write_bytes(good + zipped(canary))
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


@pytest.mark.case("T21")
def test_pickles_under_any_name_are_listed_as_unusable_and_never_opened(client: SwarmClient, canary: Path) -> None:
    files = {each["name"]: each for each in client.post("ListModels", path="", depth=3)["files"]}
    evil = [name for name in files if name.startswith("evil")]
    assert len(evil) >= 6 and "tiny.safetensors" in files
    for name in evil:
        assert name.endswith(".ckpt") or "The model file" in files[name]["description"], name
        answer = client.generate(**SMALL, model=name.removesuffix(".safetensors"))
        assert "error" in answer, name
        for route, key in (("GetModelHash", "modelName"), ("GetModelHeaders", "model"), ("SelectModel", "model")):
            client.post(route, **{key: name}, subtype="Stable-Diffusion")
    client.post("TriggerRefresh")
    assert not canary.exists()
    assert len(client.generate(**SMALL, model="tiny")["images"]) == 1


@pytest.mark.case("T21")
def test_a_model_with_a_zip_behind_it_is_none(client: SwarmClient, canary: Path) -> None:
    files = {each["name"]: each for each in client.post("ListModels", path="", depth=3)["files"]}
    assert "more than its header speaks of" in files["tail.safetensors"]["description"]
    assert "error" in client.generate(**SMALL, model="tail")
    assert not canary.exists()


@pytest.mark.case("T20")
@pytest.mark.parametrize("url", ["https://evil.example/m.ckpt", "http://127.0.0.1:9/m.ckpt", "file:///tmp/m.ckpt"])
def test_a_pickle_is_not_fetched_from_anywhere(client: SwarmClient, url: str, canary: Path) -> None:
    told = list(client.stream("DoModelDownloadWS", url=url, type="Stable-Diffusion", name="m", session=""))
    assert "error" in told[-1] and not canary.exists()
    assert "m.safetensors" not in [each["name"] for each in client.post("ListModels", path="", depth=1)["files"]]


@pytest.mark.case("T22")
@pytest.mark.parametrize(
    ("version", "is_old"), [("2.5.1", True), ("2.9.0+cu128", True), ("2.10.0", False), ("3.0", False), ("x", True)]
)
def test_an_old_torch_reads_no_pickles(version: str, is_old: bool) -> None:
    assert (torch_problem(version) is not None) == is_old


@pytest.mark.case("T22")
def test_a_server_with_an_old_torch_says_so_and_converts_nothing(tmp_path: Path) -> None:
    facts = tmp_path / "site" / "torch-2.9.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\n")
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    world.backends()
    (world.models / "Lora").mkdir(parents=True)
    (world.models / "Lora" / "old.pt").write_bytes(pickle.dumps(Hostile(tmp_path / "canary")))
    server = ServerProcess(
        world.folder, free_port(), log=tmp_path / "log", environment={"PYTHONPATH": str(tmp_path / "site")}
    )
    try:
        server.wait_until_up()
        with SwarmClient(server.base) as client:
            [notice] = client.post("GetCurrentStatus")["notices"]
            assert "torch 2.9.0" in notice
            assert client.post("Pickle2SafeTensor", type="LoRA", fp16=False) == {"error": notice}
    finally:
        server.stop()
    assert "torch 2.9.0" in (tmp_path / "log").read_text() and not (tmp_path / "canary").exists()


def seeds(folder: Path) -> list[bytes]:
    """Well-formed headers of both formats, to be damaged."""
    text = b"general.architecture"
    pair = struct.pack("<Q", len(text)) + text + struct.pack("<IQ", 8, 4) + b"flux"
    array = struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 4, 2) + bytes(8)
    tensor = struct.pack("<Q", 1) + b"t" + struct.pack("<IQIQ", 1, 8, 0, 0)
    gguf = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + pair + array + tensor + bytes(16)
    return [write_model(folder / "seed.safetensors", title="x").read_bytes(), gguf]


HUGE = [struct.pack("<Q", value) for value in (2**63, 2**63 - 1, 2**64 - 1, 2**31, 2**20 + 1, 10**6, 2**40, 0)]
PIECES = [
    *HUGE,
    b"\xff" * 4,
    b"[" * 3000,
    b'{"a":' * 2000,
    b"-1",
    b"1e999",
    b"9" * 400,
    b'"shape":[-1]',
    b"\\ud800",
    b"\0" * 64,
]


def damaged(chance: random.Random, seed: bytes) -> bytes:
    """A header with one to four wounds: pieces put in or over, cut off, turned."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1) if chance.random() < 0.5 else chance.randrange(min(64, len(data) + 1))
        kind = chance.randrange(4)
        if kind == 0:
            piece = chance.choice(PIECES)
            data[place : place + len(piece)] = piece
        elif kind == 1:
            data[place:place] = chance.choice(PIECES)
        elif kind == 2:
            del data[place : place + chance.randint(1, 40)]
        elif place < len(data):
            data[place] ^= 1 << chance.randrange(8)
    return bytes(data)


@pytest.mark.case("T23")
def test_damaged_headers_cost_little_time_and_memory(tmp_path: Path) -> None:
    chance, found, path = random.Random(23), seeds(tmp_path), tmp_path / "m.safetensors"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    for _ in range(MUTATIONS):
        path.write_bytes(damaged(chance, chance.choice(found)))
        started = time.monotonic()
        with suppress(BadInput):
            assert all(isinstance(name, str) for name in read_header(path).tensors)
        assert time.monotonic() - started < 1.0
        if time.monotonic() - begun > SECONDS:
            break
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_MEMORY


BIG = {
    "length 2^63": struct.pack("<Q", 2**63) + b"{}" + bytes(64),
    "length above the cap": struct.pack("<Q", 101 * 1024 * 1024) + b"{" + bytes(64),
    "tensors 2^63": b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0) + bytes(64),
    "pairs 10^6": b"GGUF" + struct.pack("<IQQ", 3, 1, 10**6) + bytes(64),
    "text 2^63": b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**63),
    "array 2^61": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + struct.pack("<Q", 1)
    + b"k"
    + struct.pack("<IIQ", 9, 12, 2**61),
}


@pytest.mark.case("T23")
def test_claims_larger_than_the_file_take_no_memory(tmp_path: Path) -> None:
    """In a process that may not have more: one that believed them would end."""
    for number, data in enumerate(BIG.values()):
        (tmp_path / f"{number}.safetensors").write_bytes(data)
    program = (
        "import resource, sys, pathlib\n"
        "from swarm.base.errors import BadInput\n"
        "from swarm.catalog.headers import read_header\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({2 * 1024**3}, {2 * 1024**3}))\n"
        "refused = 0\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.safetensors'):\n"
        "    try:\n"
        "        read_header(path)\n"
        "    except BadInput:\n"
        "        refused += 1\n"
        "sys.stdout.write(str(refused))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, str(len(BIG))), done.stderr


@pytest.mark.case("T27")
def test_code_beside_weights_is_listed_and_not_run(client: SwarmClient, tmp_path: Path) -> None:
    """A folder that names a program of its own, on a server: what an engine does with it is in tests/engine."""
    canary = tmp_path / "ran"
    folder = tmp_path / "Models" / "Stable-Diffusion" / "odd"
    for place in (folder, folder / "unet"):
        place.mkdir(parents=True)
        (place / "my_unet.py").write_text(f"open({str(canary)!r}, 'w')\n")
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": ["my_unet", "X"], "unet": ["my_unet", "MyUNet"]})
    )
    world = World(tmp_path)
    world.backends(StepMilliseconds=0)
    with server_in_thread(options_for(tmp_path)) as base, SwarmClient(base) as fresh:
        listed = fresh.post("ListModels", path="", depth=3)["files"]
        fresh.generate(**SMALL, model="odd")
        assert [each["name"] for each in listed] == ["odd"] and not canary.exists()
