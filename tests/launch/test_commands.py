"""Pictures from the terminal, what the doctor finds, and log lines for programs."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from swarm.base.logs import JsonLine
from swarm.cli import main
from tests.conftest import World
from tests.support.client import SwarmClient

ROOT = Path(__file__).resolve().parents[2]


def test_a_picture_from_the_terminal(client: SwarmClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--server", client.base, "--images", "2", "--set", "steps=2", "--set", "width=64", "--set", "height=128"]
    assert main(["gen", "a cat", *flags, "--to", str(tmp_path / "made")]) == 0
    saved = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len(saved) == len(set(saved)) == 2
    for path in saved:
        with Image.open(path) as picture:
            assert picture.size == (64, 128)


def test_what_went_wrong_is_said(client: SwarmClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gen", "a cat", "--server", client.base, "--model", "none"]) == 1
    assert "No model input given" in capsys.readouterr().err
    assert main(["gen", "fake-fail", "--server", client.base]) == 1
    assert "asked to fail" in capsys.readouterr().err
    assert main(["gen", "x", "--server", client.base, "--set", "steps"]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err
    assert main(["gen", "x", "--server", client.base, "--set", "stpes=5"]) == 1
    assert "no parameter 'stpes'. Did you mean 'steps'?" in " ".join(capsys.readouterr().err.split())
    assert main(["gen", "x", "--server", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.strip()


def test_a_server_is_started_for_one_picture(world: World, tmp_path: Path) -> None:
    folders = [f"--data-dir={world.data}", f"--models-dir={world.models}", f"--output-dir={world.outputs}"]
    command = [sys.executable, "-m", "swarm", "gen", "a dog", *folders, f"--to={tmp_path / 'made'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in (tmp_path / "made").iterdir()] == done.stdout.splitlines()


def test_the_doctor(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [f"--data-dir={world.data}", f"--models-dir={world.models}", f"--output-dir={world.outputs}"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["doctor", *folders, "--host=127.0.0.1", f"--port={port}"]) == 1
    said = capsys.readouterr().out
    assert f"Port {port}: taken" in said and "choose another one with --port" in said
    assert "Python: 3." in said and "Model files: 1" in said and str(world.outputs) in said
    (world.data / "swarm.db").write_bytes(b"not a database at all" * 100)
    assert main(["doctor", *folders]) == 1
    assert "swarm.db: file is not a database" in capsys.readouterr().out


def test_log_lines_for_programs() -> None:
    try:
        raise ValueError("password=hunter22")
    except ValueError:
        record = logging.LogRecord("swarm.x", logging.WARNING, "f", 1, "two\nlines %s", ("é",), sys.exc_info())
    line = json.loads(JsonLine().format(record))
    assert list(line) == ["time", "level", "logger", "message", "trace"]
    assert (line["level"], line["logger"], line["message"]) == ("Warning", "swarm.x", "two\nlines é")
    assert "ValueError" in line["trace"] and "hunter22" not in line["trace"] and line["time"].endswith("+00:00")
