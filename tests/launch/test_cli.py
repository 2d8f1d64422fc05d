"""Flags as SwarmUI spells them; anything wrong is one sentence and a non-zero exit."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.base.errors import SwarmError
from swarm.cli import main, parse_options

ROOT = Path(__file__).resolve().parents[2]


def test_defaults_lie_beside_the_program(tmp_path: Path) -> None:
    options, settings = parse_options([], tmp_path)
    assert (options.host, options.port, options.user_id, options.persist) == ("localhost", 7801, "local", True)
    assert (options.data_dir, options.models_dirs) == (tmp_path / "Data", (tmp_path / "Models",))
    assert (options.output_dir, options.backends_file) == (tmp_path / "Output", tmp_path / "Data" / "Backends.fds")
    assert settings.network.port == 7801


def test_flags_have_two_spellings_and_two_ways_to_take_a_value(tmp_path: Path) -> None:
    flags = [
        "--data_dir", str(tmp_path / "d"), "--MODELS-DIR=/m;/n", f"--output_dir={tmp_path}/o", "--port=8000",
        "--launch-mode", "web", "--user_id=bob", "--no_persist", "--loglevel", "debug", "--host", "127.0.0.1",
    ]  # fmt: skip
    options, _ = parse_options(flags, tmp_path)
    assert (options.data_dir, options.settings_file) == (tmp_path / "d", tmp_path / "d" / "Settings.fds")
    assert options.models_dirs == (Path("/m"), Path("/n"))
    assert (options.port, options.launch_mode, options.user_id, options.persist) == (8000, "web", "bob", False)
    assert (options.output_dir, options.loglevel, options.host) == (tmp_path / "o", "debug", "127.0.0.1")


def test_settings_act_unless_a_flag_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "my.fds"
    file.write_text("Network:\n    Port: 9009\n    Host: 127.0.0.1\nPaths:\n    ModelRoot: a;/b\n")
    options, _ = parse_options(["--settings_file", str(file)], tmp_path)
    assert (options.host, options.port) == ("127.0.0.1", 9009)
    assert options.models_dirs == (tmp_path / "a", Path("/b"))
    assert parse_options([f"--settings-file={file}", "--port", "1"], tmp_path)[0].port == 1


WRONG = [
    ["--prot", "1"], ["--port", "x"], ["--port", "0"], ["--port", "99999"], ["--port"], ["--loglevel", "loud"],
    ["--launch_mode", "rocket"], ["stray"], ["--no_persist", "perhaps"],
]  # fmt: skip


@pytest.mark.parametrize("flags", WRONG)
def test_a_bad_flag_is_one_sentence(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SwarmError):
        parse_options(flags, tmp_path)
    assert main(flags) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "swarm", f"--data_dir={tmp_path}", f"--port={port}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    sentence = f"Port {port} is taken by another program. Stop it, or choose another port with --port.\n"
    assert (done.returncode, done.stderr, done.stdout) == (1, sentence, "")
