"""Swarms that a script starts when jobs wait, and that are ended when idle. The script starts our own server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx2

from swarm.starter import SHIPPED
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.remote import a_server, backend_file, children, wait_for
from tests.support.server import REPOSITORY, fake_backends, free_port

JOB: dict[str, Any] = {"prompt": "a cat", "model": "tiny", "steps": 1, "width": 64, "height": 64}


def script(folder: Path, body: str) -> Path:
    made = folder / "start"
    made.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    made.chmod(0o755)
    return made


def tell(key: str, value: str) -> str:
    return f'print("[SwarmAutoScaleBackend]{key}: {value}[/SwarmAutoScaleBackend]", flush=True)\n'


def starting_a_worker(folder: Path, port: int) -> Path:
    """A script that starts a server of ours with a fake backend, and says where it is."""
    (folder / "Data").mkdir(parents=True)
    (folder / "Data" / "starter-placed.txt").write_text("\n".join(SHIPPED), encoding="utf-8")
    (folder / "Data" / "Backends.fds").write_text(fake_backends(StepMilliseconds=0) + "\n", encoding="utf-8")
    write_model(folder / "Models" / "Stable-Diffusion" / "tiny.safetensors")
    arguments = [sys.executable, "-m", "swarm", "--host", "127.0.0.1", "--port", str(port), "--launch_mode", "none"]
    for name in ("data_dir", "models_dir", "output_dir"):
        arguments += [f"--{name}", str(folder / name.split("_")[0].title())]
    begin = "import subprocess\n"
    quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    start = f"subprocess.Popen({arguments!r}, cwd={str(REPOSITORY)!r}, {quiet})\n"
    return script(folder, begin + start + tell("DoRetries", "6") + tell("NewURL", f"http://127.0.0.1:{port}"))


def is_up(port: int) -> bool:
    try:
        httpx2.post(f"http://127.0.0.1:{port}/API/GetNewSession", json={}, trust_env=False, timeout=2)
    except httpx2.HTTPError:
        return False
    return True


def message(client: SwarmClient) -> str:
    return str(client.post("ListBackends")["0"].get("message", ""))


def test_a_worker_is_started_for_a_job_and_ended_when_idle(tmp_path: Path) -> None:
    port = free_port()
    path = starting_a_worker(tmp_path / "worker", port)
    backends = backend_file("autoscalingbackend", StartScript=path, MinIdleTime=0.02, MinWaitBetweenStop=0)
    with a_server(tmp_path / "own", backends, "tiny") as client:
        wait_for(lambda: client.post("ListBackends")["0"]["status"] == "running")
        answer = client.generate(**JOB)
        assert len(answer.get("images", ())) == 1, answer
        assert len(children(client)) == 2  # the worker, and its one backend
        wait_for(lambda: children(client) == [], 20)
        wait_for(lambda: not is_up(port), 20)


def test_a_script_that_says_it_failed_lets_the_job_fail(tmp_path: Path) -> None:
    path = script(tmp_path, tell("DeclareFailed", "no machines left"))
    with a_server(tmp_path / "own", backend_file("autoscalingbackend", StartScript=path), "tiny") as client:
        wait_for(lambda: client.post("ListBackends")["0"]["status"] == "running")
        assert "error" in client.generate(**JOB)


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    path = script(tmp_path, "")
    backends = backend_file("autoscalingbackend", StartScript=path, MinBackends=3, MaxBackends=2)
    with a_server(tmp_path / "own", backends) as client:
        wait_for(lambda: "contradict" in message(client))
