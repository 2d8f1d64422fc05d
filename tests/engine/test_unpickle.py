"""Pickles made into safetensors files: the same tensors, and no pickle that runs anything."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swarm.base.errors import Refused
from swarm.base.sandbox import run_confined
from swarm.catalog.pickles import Pickles, convert
from tests.conftest import World
from tests.support.client import SwarmClient

pytestmark = pytest.mark.torch


class Hostile:
    """What a malicious checkpoint does when it is unpickled without care."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.canary}",))


def test_the_tensors_are_the_same(tmp_path: Path) -> None:
    shared = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = {
        "a": shared,
        "b": shared.t(),
        "c": torch.tensor(7, dtype=torch.int64),
        "d": torch.randn(5).to(torch.bfloat16),
        "e": torch.zeros(0, 3),
        "f": torch.tensor([True, False]),
    }
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "m.ckpt")
    convert(tmp_path / "m.ckpt", tmp_path / "m.safetensors", half=False)
    found = load_file(tmp_path / "m.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in found)
    convert(tmp_path / "m.ckpt", tmp_path / "half.safetensors", half=True)
    halves = load_file(tmp_path / "half.safetensors")
    assert (halves["a"].dtype, halves["c"].dtype, halves["d"].dtype) == (torch.float16, torch.int64, torch.bfloat16)


def test_the_old_file_format_and_embeddings(tmp_path: Path) -> None:
    vectors = torch.randn(2, 8)
    old = {"string_to_param": {"*": vectors}, "name": "style"}
    torch.save(old, tmp_path / "e.pt", _use_new_zipfile_serialization=False)
    convert(tmp_path / "e.pt", tmp_path / "e.safetensors", half=False)
    assert torch.equal(load_file(tmp_path / "e.safetensors")["emb_params"], vectors)


def hostile_files(folder: Path, canary: Path) -> Iterator[Path]:
    torch.save({"w": torch.zeros(1), "x": Hostile(canary)}, folder / "zip.ckpt")
    yield folder / "zip.ckpt"
    torch.save({"x": Hostile(canary)}, folder / "old.pt", _use_new_zipfile_serialization=False)
    yield folder / "old.pt"
    (folder / "bare.bin").write_bytes(pickle.dumps(Hostile(canary)))
    yield folder / "bare.bin"
    with zipfile.ZipFile(folder / "made.ckpt", "w") as made:
        made.writestr("archive/data.pkl", pickle.dumps(Hostile(canary)))
        made.writestr("archive/version", "3")
    yield folder / "made.ckpt"
    (folder / "empty.pt").write_bytes(b"")
    yield folder / "empty.pt"
    (folder / "list.pt").write_bytes(pickle.dumps([1, 2]))
    yield folder / "list.pt"


@pytest.mark.case("T20")
def test_a_malicious_pickle_runs_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for path in hostile_files(tmp_path, canary):
        with pytest.raises(Refused, match=f"{path.name} was not converted: ."):
            convert(path, path.with_suffix(".safetensors"), half=False)
    assert not canary.exists()
    assert sorted(each.suffix for each in tmp_path.iterdir()) == [".bin", ".ckpt", ".ckpt", ".pt", ".pt", ".pt"]


ESCAPES = {
    "network": "import socket; socket.create_connection(('127.0.0.1', PORT), timeout=2)",
    "programs": "import os; os.execv('/bin/touch', ['touch', 'CANARY'])",
    "files": "open('CANARY', 'w')",
    "reading": "open('/etc/passwd')",
    "deleting": "import os; os.unlink('VICTIM')",
}


@pytest.mark.skipif(sys.platform != "linux", reason="system calls are only refused on Linux")
@pytest.mark.parametrize("way", ESCAPES)
def test_even_code_that_runs_in_the_child_cannot_get_out(tmp_path: Path, way: str) -> None:
    """The second wall, tried without the first: code of our own, after the rights were given up."""
    (tmp_path / "victim").touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = (
            ESCAPES[way]
            .replace("PORT", str(listener.getsockname()[1]))
            .replace("CANARY", str(tmp_path / "canary"))
            .replace("VICTIM", str(tmp_path / "victim"))
        )
        program = f"""
import os, socket
from swarm.engine.apart.confine import confine
confine(memory=2**31, file_size=2**20, seconds=10)
try:
    {code}
except OSError:
    os._exit(7)
os._exit(0)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert done.returncode == 7, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        run_confined("http.server", ["0", "--bind", "127.0.0.1"], files=[], seconds=0.5)


def test_all_pickles_of_a_set_over_the_wire(world: World, client: SwarmClient) -> None:
    folder = world.models / "Lora" / "deep"
    folder.mkdir(parents=True)
    torch.save({"lora_up": torch.ones(2, 2)}, folder / "good.pt")
    assert client.post("Pickle2SafeTensor", type="LoRA", fp16=True) == {"success": True, "converted": 1}
    assert load_file(folder / "good.safetensors")["lora_up"].dtype == torch.float16
    assert (folder / "good.pt").exists()
    names = [file["name"] for file in client.post("ListModels", path="", depth=3, subtype="LoRA")["files"]]
    assert "deep/good.safetensors" in names
    (folder / "bad.pt").write_bytes(b"\x80\x04junk")
    answer = client.post("Pickle2SafeTensor", type="LoRA", fp16=True)
    assert answer["error"].startswith("bad.pt was not converted: ")
    assert client.post("Pickle2SafeTensor", type="Lora", fp16=True) == {"error": "Invalid type 'Lora'."}
    assert Pickles().convert_all([world.models / "none"], half=False).made == ()


def test_checkpoints_in_parts_are_converted_where_networks_lie(world: World, client: SwarmClient) -> None:
    folder = world.models / "ipadapter"
    folder.mkdir()
    parts = {"image_proj": {"proj.0.weight": torch.ones(2, 2)}, "ip_adapter": {"1.to_k_ip.weight": torch.zeros(3)}}
    torch.save(parts, folder / "face.bin")
    assert client.post("Pickle2SafeTensor", type="ipadapter", fp16=False) == {"success": True, "converted": 1}
    assert set(load_file(folder / "face.safetensors")) == {"image_proj.proj.0.weight", "ip_adapter.1.to_k_ip.weight"}
    assert client.post("Pickle2SafeTensor", type="upscale_models", fp16=False) == {"success": True, "converted": 0}
