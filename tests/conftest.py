"""The real app on a temporary folder, with the fake backend; nothing is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from swarm.starter import SHIPPED
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import fake_backends, options_for, server_in_thread

# On a build machine the same examples every time, however slow it is; at a desk new ones each run.
hypothesis.settings.register_profile("build", derandomize=True, deadline=None)
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.load_profile("build" if os.environ.get("CI") else "desk")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """A folder for one server: its data, its models and its outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "Data"
        self.models = folder / "Models"
        self.outputs = folder / "Output"
        self.data.mkdir()
        # As if the starter model had been placed and deleted: tests say themselves which models there are.
        (self.data / "starter-placed.txt").write_text("\n".join(SHIPPED), encoding="utf-8")

    def backends(self, **settings: object) -> None:
        """Configure one fake backend."""
        (self.data / "Backends.fds").write_text(fake_backends(**settings), encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A fresh folder with a fake backend and one (weightless) SD 1.5 checkpoint called `tiny`."""
    made = World(tmp_path)
    made.backends(StepMilliseconds=0)
    write_model(made.models / "Stable-Diffusion" / "tiny.safetensors")
    return made


Serve = Callable[[], SwarmClient]


@pytest.fixture
def serve(world: World) -> Iterator[Serve]:
    """Start the server on `world` when called; everything is stopped at the end of the test."""
    with ExitStack() as stack:

        def start() -> SwarmClient:
            base = stack.enter_context(server_in_thread(options_for(world.folder)))
            return stack.enter_context(SwarmClient(base))

        yield start


@pytest.fixture
def client(serve: Serve) -> SwarmClient:
    """A client of a running server with the fake backend."""
    return serve()


@pytest.fixture
def live_server(client: SwarmClient) -> str:
    """Base URL of a running server with the fake backend (for browsers)."""
    return client.base
