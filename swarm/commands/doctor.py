"""`python -m swarm doctor`: looks at everything a server needs, and says what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pynvml
from rich.console import Console

from swarm.base.backup import fault_in
from swarm.base.errors import Refused, SwarmError
from swarm.cli import parse_options
from swarm.lock import FolderLock
from swarm.settings.options import LaunchOptions

_GIB = 1024**3
_LITTLE_SPACE = 5 * _GIB
_LITTLE_MEMORY = 8 * _GIB
_ENGINE = ("torch", "diffusers", "transformers", "safetensors", "accelerate", "peft")
_MODEL_ENDINGS = frozenset({".safetensors", ".gguf", ".sft"})
_MOST_FILES = 100_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was looked at and found. `is_bad`: pictures cannot be made, or work can be lost. `advice`: what to do."""

    about: str
    text: str
    advice: str = ""
    is_bad: bool = False


Check = Callable[[LaunchOptions], Iterator[Finding]]


def run(arguments: Sequence[str]) -> int:
    """Print all findings; the exit code is 1 when one is bad."""
    try:
        options, _ = parse_options(arguments)
    except SwarmError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    console, worst = Console(highlight=False), 0
    for check in CHECKS:
        for finding in check(options):
            worst = max(worst, int(finding.is_bad))
            mark = "[red]✗[/]" if finding.is_bad else "[yellow]![/]" if finding.advice else "[green]✓[/]"
            console.print(f"{mark} {finding.about}: ", end="")
            console.print(finding.text, markup=False, soft_wrap=True)
            if finding.advice:
                console.print(f"    {finding.advice}", markup=False, soft_wrap=True)
    return worst


def _python(options: LaunchOptions) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    bad = sys.version_info < (3, 11)
    yield Finding(about="Python", text=version, advice="Swarm needs 3.11 or newer." if bad else "", is_bad=bad)


def _engine(options: LaunchOptions) -> Iterator[Finding]:
    missing, found = [], []
    for name in _ENGINE:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if found:
        yield Finding(about="Engine", text=", ".join(found))
    if missing:
        advice = "Start Swarm with `python3 launch.py`, which installs them."
        yield Finding(about="Engine", text=f"{', '.join(missing)} missing", advice=advice, is_bad=True)


def _driver(options: LaunchOptions) -> Iterator[Finding]:
    try:
        pynvml.nvmlInit()
        try:
            driver = pynvml.nvmlSystemGetDriverVersion()
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                text = f"{pynvml.nvmlDeviceGetName(handle)}, {memory.free / _GIB:.1f} of {memory.total / _GIB:.1f} GiB"
                yield Finding(about=f"GPU {index}", text=f"{text} free, driver {driver}")
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        advice = "Pictures are made on the processor, which is slow. With an NVIDIA card, install its driver."
        yield Finding(about="GPU", text=f"none ({error})", advice=advice)
        return
    yield from _torch_build()


def _torch_build() -> Iterator[Finding]:
    """A build of torch without CUDA beside a GPU. Its version says so; torch itself is not loaded for that."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return
    if version.endswith("+cpu"):
        advice = "Delete .venv and start `python3 launch.py` again: it then installs the build for your GPU."
        yield Finding(about="torch", text=f"{version} cannot use the GPU", advice=advice, is_bad=True)


def _memory(options: LaunchOptions) -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    little = memory.total < _LITTLE_MEMORY
    yield Finding(
        about="Memory",
        text=f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free",
        advice="Large models will not fit." if little else "",
    )


def _folders(options: LaunchOptions) -> Iterator[Finding]:
    for about, path in (
        ("Data", options.data_dir),
        ("Output", options.output_dir),
        *(("Models", each) for each in options.models_dirs),
    ):
        yield _folder(about, path)


def _folder(about: str, path: Path) -> Finding:
    present = next(each for each in (path, *path.parents) if each.exists())
    free = shutil.disk_usage(present).free
    text = f"{path}, {free / _GIB:.1f} GiB free"
    if not os.access(present, os.W_OK | os.X_OK):
        return Finding(about=about, text=text, advice=f"{present} cannot be written to. Change its owner.", is_bad=True)
    if free < _LITTLE_SPACE:
        advice = "Free some space, or move the folder to another disk and name it with a flag."
        return Finding(about=about, text=text, advice=advice, is_bad=free < _GIB)
    return Finding(about=about, text=text)


def _models(options: LaunchOptions) -> Iterator[Finding]:
    count = 0
    for root in options.models_dirs:
        for number, path in enumerate(root.rglob("*") if root.is_dir() else ()):
            if number > _MOST_FILES:
                break
            count += path.suffix.lower() in _MODEL_ENDINGS
    advice = "" if count else "The first start places a small one. Put others into Models/Stable-Diffusion."
    yield Finding(about="Model files", text=str(count), advice=advice)


def _databases(options: LaunchOptions) -> Iterator[Finding]:
    for name in ("swarm.db", "index.db"):
        path = options.data_dir / name
        if path.exists():
            fault = fault_in(path)
            advice = "" if fault is None else "The next start sets it aside and takes its last copy."
            yield Finding(about=name, text=fault or "sound", advice=advice, is_bad=fault is not None)


def _port(options: LaunchOptions) -> Iterator[Finding]:
    if not options.data_dir.exists():
        running = False
    else:
        lock = FolderLock(options.data_dir)
        try:
            lock.acquire()
            running = False
        except Refused:
            running = True
        finally:
            lock.release()
    if running:
        yield Finding(about="Server", text="runs with this data folder")
        return
    host = "127.0.0.1" if options.host in ("localhost", "*", "0.0.0.0", "::") else options.host
    with closing(socket.socket()) as probe:
        probe.settimeout(2)
        taken = probe.connect_ex((host, options.port)) == 0
    advice = "Stop the program that uses it, or choose another one with --port." if taken else ""
    yield Finding(about=f"Port {options.port}", text="taken" if taken else "free", advice=advice, is_bad=taken)


CHECKS: tuple[Check, ...] = (_python, _engine, _driver, _memory, _folders, _models, _databases, _port)
