"""What the launcher decides, without installing anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import launch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed .venv somewhere else."""
    monkeypatch.setattr(launch, "VENV", tmp_path)
    monkeypatch.setattr(launch, "STAMP", tmp_path / "stamp.json")
    launch.venv_python().parent.mkdir()
    launch.venv_python().touch()
    stamp = {"fingerprint": launch.fingerprint(), "extras": ["dev", "engine"], "aside": ["one"], "torch": "cpu"}
    launch.STAMP.write_text(json.dumps(stamp))
    return tmp_path


def test_torch_is_chosen_by_flag_then_environment_then_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "has_nvidia", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("SWARM_TORCH", raising=False)
    assert launch.torch_build(["--port", "1"]) == ("cpu", ["--port", "1"])
    monkeypatch.setenv("SWARM_TORCH", "rocm7.0")
    assert launch.torch_build([]) == ("rocm7.0", [])
    assert launch.torch_build(["--torch=cu130", "--port=1"]) == ("cu130", ["--port=1"])
    assert launch.torch_build(["--torch", "cu130", "--port", "1"]) == ("cu130", ["--port", "1"])
    monkeypatch.delenv("SWARM_TORCH")
    monkeypatch.setattr(launch, "has_nvidia", lambda: True)
    assert launch.torch_build([]) == ("", [])


def test_the_stamp_says_what_is_installed(venv: Path) -> None:
    assert launch.is_installed({"engine"}, "cpu")
    assert launch.is_installed({"engine", "dev"}, "cpu")
    assert not launch.is_installed({"engine", "ray"}, "cpu")
    assert not launch.is_installed({"engine"}, "cu130")
    assert launch.is_installed({"engine"}, "cpu", frozenset({"one"}))
    assert not launch.is_installed({"engine"}, "cpu", frozenset({"one", "two"}))
    launch.STAMP.write_text("{")
    assert not launch.is_installed({"engine"}, "cpu")


def test_an_environment_without_its_interpreter_is_not_installed(venv: Path) -> None:
    launch.venv_python().unlink()
    assert not launch.is_installed({"engine"}, "cpu")


def test_the_pinned_torch_is_the_one_the_engine_asks_for() -> None:
    assert f'"torch=={launch.TORCH}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_what_is_put_aside_is_what_the_extra_says_and_brings_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def pip_install(title: str, *arguments: str) -> bool:
        asked.append(arguments)
        return True

    monkeypatch.setattr(launch, "pip_install", pip_install)
    monkeypatch.setattr(launch, "ASIDE", tmp_path)
    (tmp_path / "upscalers" / "older").mkdir(parents=True)
    assert launch.install_aside("upscalers")
    assert not (tmp_path / "upscalers").exists()
    wanted = launch.requirements("upscalers")
    assert asked == [("--no-deps", "--target", str(tmp_path / "upscalers"), *wanted)]
    assert {"spandrel", "torchvision", "einops"} == {each.partition(">")[0].partition("=")[0] for each in wanted}


def test_help_needs_no_installation(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "--models-dir" in done.stdout and "--torch" in done.stdout


def test_a_python_without_the_libraries_is_told_in_a_sentence() -> None:
    command = [sys.executable, "-S", "-m", "swarm", "doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "python3 launch.py" in done.stderr and "Traceback" not in done.stderr


def test_an_old_python_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "OLDEST_PYTHON", (99, 1))
    assert launch.main([]) == 1
    assert capsys.readouterr().err.startswith("Swarm needs Python 99.1 or newer; this is ")


def test_what_follows_a_word_is_handed_over_as_it_is(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []

    def hand_over(*command: str) -> int:
        seen.append(command)
        return 0

    monkeypatch.setattr(launch, "hand_over", hand_over)
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv("SWARM_TORCH", "cpu")
    assert launch.main(["gen", "--help"]) == 0
    assert seen == [(str(launch.venv_python()), "-m", "swarm", "gen", "--help")]


def test_a_folder_of_the_same_name_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "swarm").mkdir()
    command = [sys.executable, str(ROOT / "launch.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
