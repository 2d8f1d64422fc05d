"""`python -m swarm gen "a cat"`: pictures from the terminal, by a running server or one that is started for it."""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from swarm.base.errors import BadInput, Refused, SwarmError, Unavailable
from swarm.base.ids import clean_id
from swarm.cli import parse_options
from swarm.listening import free_port

_START_SECONDS = 120.0
_BACKEND_SECONDS = 600.0
_NOT_PARAMETERS = {"session_id", "presets", "extra_metadata"}


def run(arguments: Sequence[str]) -> int:
    """Make pictures and save them where the terminal is; returns the exit code."""
    given = _arguments(arguments)
    console = Console(stderr=True)
    try:
        body = _body(given)
        with _server(given, console) as address:
            urls = generate(address, body, console)
            for url in urls:
                sys.stdout.write(f"{_fetched(address, url, given.to)}\n")
    except (SwarmError, httpx2.HTTPError, WebSocketException, OSError) as error:
        console.print(f"{error}" or "The server did not answer.", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="swarm gen", description=__doc__)
    flag = parser.add_argument
    flag("prompt", help="what the picture shows")
    flag("--model", help="name of the model (default: the only or first one)")
    flag("--images", type=int, default=1, help="how many (default: 1)")
    flag("--set", action="append", default=[], metavar="NAME=VALUE", help="any parameter, such as steps=20")
    flag("--to", type=Path, default=Path(), metavar="FOLDER", help="where to put the pictures (default: here)")
    flag("--server", help="address of a running server (default: the one of the settings, else one is started)")
    flag("--data-dir", "--data_dir", help="data folder of a server that is started")
    flag("--models-dir", "--models_dir", help="models folder of a server that is started")
    flag("--output-dir", "--output_dir", help="output folder of a server that is started")
    return parser.parse_args(arguments)


def _body(given: argparse.Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": given.prompt, "images": given.images}
    if given.model:
        body["model"] = given.model
    for each in given.set:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise BadInput(f"--set needs NAME=VALUE, not '{each}'.")
        body[name] = value
    return body


@contextmanager
def _server(given: argparse.Namespace, console: Console) -> Iterator[str]:
    """The address of a server that answers; one that was started for this ends with the block."""
    if given.server:
        address = str(given.server).rstrip("/")
        address = address if "://" in address else f"http://{address}"
        if not _answers(address):
            raise Unavailable(f"No server answers at {address}.")
        yield address
        return
    folders = [
        f"--{name}-dir={getattr(given, f'{name}_dir')}"
        for name in ("data", "models", "output")
        if getattr(given, f"{name}_dir")
    ]
    options, _ = parse_options(folders)
    usual = f"http://localhost:{options.port}"
    if not folders and _answers(usual):
        yield usual
        return
    port = free_port()
    command = [sys.executable, "-m", "swarm", *folders, "--host=127.0.0.1", f"--port={port}", "--loglevel=Error"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with console.status("Starting Swarm"):
            _wait_for(f"http://127.0.0.1:{port}", child)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(60)


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health/live", timeout=3, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def _wait_for(address: str, child: subprocess.Popen[bytes]) -> None:
    """Until the server is up and a backend is ready. Raises Unavailable."""
    end = time.monotonic() + _START_SECONDS
    while not _answers(address):
        if child.poll() is not None or time.monotonic() > end:
            raise Unavailable(
                "Swarm could not be started. A server at another address than usual is named by --server."
            )
        time.sleep(0.1)
    end = time.monotonic() + _BACKEND_SECONDS
    while httpx2.get(f"{address}/health/ready", timeout=10, trust_env=False).status_code != 200:
        if time.monotonic() > end:
            raise Unavailable("No backend got ready. Ask `python3 launch.py doctor` why.")
        time.sleep(0.2)


def generate(address: str, body: dict[str, Any], console: Console) -> list[str]:
    """Have the pictures made, with a bar that shows how far they are; their URLs. Raises Refused with the sentence."""
    with httpx2.Client(base_url=address, timeout=60, trust_env=False) as http:
        session = http.post("/API/GetNewSession", json={}).json()
        if "session_id" not in session:
            raise Refused(str(session.get("error", "The server gave no session.")))
        asked = {"session_id": session["session_id"], **body}
        _check_names(http, asked["session_id"], set(body) - _NOT_PARAMETERS)
        if "model" not in asked:
            asked["model"] = _first_model(http, asked["session_id"])
    urls: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars: dict[str, Any] = {}
        for message in _messages(address, asked):
            if "error" in message:
                raise Refused(message["error"])
            if "gen_progress" in message:
                _show(progress, bars, message["gen_progress"])
            if "image" in message:
                urls.append(message["image"])
    return urls


def _messages(address: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    place = address.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    with connect(place, compression=None, max_size=None, proxy=None) as socket:
        socket.send(json.dumps({**body, "nopreviews": True}))
        for text in socket:
            yield json.loads(text)


def _show(progress: Progress, bars: dict[str, Any], told: dict[str, Any]) -> None:
    index = told["batch_index"]
    if index not in bars:
        bars[index] = progress.add_task(f"picture {int(index) + 1}", total=1.0)
    progress.update(bars[index], completed=told["overall_percent"])


def _check_names(http: httpx2.Client, session_id: str, names: set[str]) -> None:
    """The route passes over unknown names; at a terminal that would hide a slip of the hand. Raises BadInput."""
    listed = http.post("/API/ListT2IParams", json={"session_id": session_id}).json().get("list", [])
    known = [str(each["id"]) for each in listed]
    for name in sorted(names):
        if known and (id := clean_id(name)) not in known:
            near = difflib.get_close_matches(id, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " docs/params.md lists them all."
            raise BadInput(f"The server has no parameter '{name}'.{hint}")


def _first_model(http: httpx2.Client, session_id: str) -> str:
    body = {"session_id": session_id, "path": "", "depth": 5}
    files = http.post("/API/ListModels", json=body).json().get("files", [])
    files = [file for file in files if file.get("is_supported_model_format", True)]
    if not files:
        raise Refused("There is no model yet. Put one into Models/Stable-Diffusion.")
    return str(files[0]["name"])


def _fetched(address: str, url: str, folder: Path) -> Path:
    """A picture, saved under its own name or with a number behind it."""
    data = httpx2.get(f"{address}/{url}", timeout=60, trust_env=False).raise_for_status().content
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(url.rpartition("/")[2])
    number, target = 1, folder / name
    while target.exists():
        number += 1
        target = folder / f"{name.stem}-{number}{name.suffix}"
    target.write_bytes(data)
    return target
