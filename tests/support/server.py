"""Real servers for tests: in a thread of this process (fast), or in a process of their own (to be killed)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from swarm.app import build_app
from swarm.serve import uvicorn_settings
from swarm.settings.file import load_settings
from swarm.settings.options import LaunchOptions

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fake_backends(**settings: object) -> str:
    """A Backends file with one fake backend."""
    lines = [
        f"\t{name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.items()
    ]
    return "\n".join(["0:", "\ttype: fake", "\ttitle: ", "\tenabled: true", "\tsettings:", *(f"\t{x}" for x in lines)])


def options_for(folder: Path, **changes: Any) -> LaunchOptions:
    """Launch options of a server whose every file lies under `folder`."""
    return replace(LaunchOptions.under(folder), host="127.0.0.1", port=free_port(), loglevel="Warning", **changes)


class ThreadServer(uvicorn.Server):
    """uvicorn in a thread; signals stay with the main thread."""

    def install_signal_handlers(self) -> None:
        """The test process handles its own signals."""


@contextmanager
def server_in_thread(options: LaunchOptions) -> Iterator[str]:
    """Serve the real app from this process; yields the base URL."""
    config = uvicorn.Config(
        build_app(options),
        host="127.0.0.1",
        port=options.port,
        **uvicorn_settings(load_settings(options.settings_file)),
    )
    server = ThreadServer(config)
    thread = threading.Thread(target=server.run, name="test-server", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The test server did not start.")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{options.port}"
    finally:
        server.should_exit = True
        thread.join(30)


class ServerProcess:
    """`python -m swarm` as a child, to be stopped kindly or killed."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "swarm"),
    ) -> None:
        """`program`: what Python is given before the flags."""
        self.base = f"http://127.0.0.1:{port}"
        self._log = log.open("ab")
        self.child = subprocess.Popen(
            [
                *(sys.executable, *program, "--host", "127.0.0.1", "--port", str(port), "--launch_mode", "none"),
                *("--data_dir", str(folder / "Data"), "--models_dir", str(folder / "Models")),
                *("--output_dir", str(folder / "Output")),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_until_up(self, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise RuntimeError(f"The server ended with {self.child.returncode} before it was up.")
            with suppress(httpx2.HTTPError):
                httpx2.get(f"{self.base}/Error/BasicAPI", trust_env=False, timeout=5)
                return
            time.sleep(0.02)
        raise RuntimeError("The server did not come up in time.")

    def kill(self) -> None:
        """kill -9, the server alone; its engine must notice by itself."""
        self.child.kill()
        self.child.wait(30)
        self._log.close()

    def stop(self) -> int:
        """Ask kindly, as a person would with Ctrl+C or a service manager with TERM."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(30)
        finally:
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait(10)
            self._log.close()
