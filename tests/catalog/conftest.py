"""What tests of the catalog share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.architectures import families
from swarm.architectures.architecture import Architecture
from swarm.base.database import Database
from swarm.base.registry import collect
from swarm.catalog.catalog import Catalog
from tests.catalog.download_host import Host
from tests.support.models import write_model


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    architectures = collect(families, Architecture)
    made = Catalog([tmp_path / "Models"], architectures, Database(tmp_path / "c.db", durable=False), lambda: 1.0)
    made.refresh()
    return made


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return write_model(tmp_path / "made.safetensors").read_bytes()
