#!/usr/bin/env python3
"""From a fresh machine to a running server: makes .venv, installs once, and hands over to `python -m swarm`.

    python3 launch.py [flags of the server]     start; --help lists the flags
    python3 launch.py doctor                    and gen, backup, restore: what `python -m swarm` can do besides
    python3 launch.py check                     install the development tools too, and check the code

Which build of torch is installed: CUDA where an NVIDIA driver answers, else the CPU one. `--torch=cu130`,
`--torch=rocm7.1`, `--torch=cpu` or the environment variable SWARM_TORCH choose another. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TORCH = "2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl"
OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "swarm-installed.json"
LOG = VENV / "install.log"
ASIDE = VENV / "aside"
"""Extras that only some tests see, a folder for each: beside torchvision, transformers works by other means."""
HELP = """\
For launch.py itself: --torch=BUILD installs that build of PyTorch (cpu, cu130, rocm7.1 ...); everything else goes to:

"""


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def venv_python() -> Path:
    """The interpreter inside .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def torch_build(arguments: list[str]) -> tuple[str, list[str]]:
    """The wanted build of torch (`cpu`, `cu130`, `` for whatever the index prefers), and the other arguments."""
    chosen = os.environ.get("SWARM_TORCH", "")
    rest = []
    left = iter(arguments)
    for argument in left:
        if argument.startswith("--torch="):
            chosen = argument.partition("=")[2]
        elif argument == "--torch":
            chosen = next(left, "")
        else:
            rest.append(argument)
    if not chosen and sys.platform != "darwin" and not has_nvidia():
        chosen = "cpu"
    return chosen, rest


def has_nvidia() -> bool:
    """Whether an NVIDIA driver answers on this machine."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        return subprocess.run([program, "-L"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def fingerprint() -> str:
    """Changes when what must be installed changes."""
    text = (ROOT / "pyproject.toml").read_bytes() + str(sys.version_info[:2]).encode() + str(ROOT).encode()
    return hashlib.sha256(text).hexdigest()


def is_installed(extras: set[str], build: str, aside: frozenset[str] = frozenset()) -> bool:
    """Whether .venv already holds all of it, by the stamp of the last install."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    same = stamp.get("fingerprint") == fingerprint() and stamp.get("torch") == build
    held = extras <= set(stamp.get("extras", [])) and aside <= set(stamp.get("aside", []))
    return same and held and venv_python().exists()


def make_venv() -> None:
    """Make .venv unless a working one is there. Ends the program with a sentence when Python cannot."""
    if venv_python().exists():
        alive = subprocess.run([str(venv_python()), "-m", "pip", "--version"], capture_output=True, check=False)
        if alive.returncode == 0:
            return
    say("Making a Python environment in .venv")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, check=False)
    if made.returncode != 0:
        sys.exit("Python cannot make environments here; on Debian and Ubuntu, install the package python3-venv.")


class Progress:
    """A line that tells what pip is doing and for how long; on a terminal it stays in its place."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.monotonic()
        self.live = sys.stderr.isatty()

    def show(self, line: str) -> None:
        """Take one line of pip's output."""
        words = line.split()
        if not words or words[0] not in ("Collecting", "Downloading", "Building", "Installing"):
            return
        if not self.live:
            if words[0] in ("Downloading", "Installing"):
                say(f"  {line.strip()[:100]}")
            return
        seconds = int(time.monotonic() - self.started)
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{f'{self.title} {seconds:>4} s  {line.strip()}'[:width]}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line behind."""
        if self.live:
            sys.stderr.write(f"\r\x1b[K{self.title}: {int(time.monotonic() - self.started)} s\n")


def pip_install(title: str, *arguments: str) -> bool:
    """Run `pip install`, showing progress and keeping the whole output in the log; True if it worked."""
    command = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    progress = Progress(title)
    if not progress.live:
        say(title)
    with LOG.open("a", encoding="utf-8") as log:
        pip = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            progress.show(line)
        code = pip.wait()
    progress.end()
    return code == 0


def install_torch(build: str) -> bool:
    """Install the wanted build of torch; the CPU build falls back to the ordinary one."""
    if not build:
        return pip_install("Installing torch", f"torch=={TORCH}")
    wanted = f"torch=={TORCH}+{build}"
    if pip_install(f"Installing torch ({build})", wanted, "--extra-index-url", f"{TORCH_INDEX}/{build}"):
        return True
    if build != "cpu":
        return False
    say("The CPU build of torch cannot be had; taking the ordinary one, which is larger.")
    return pip_install("Installing torch", f"torch=={TORCH}")


def requirements(extra: str) -> list[str]:
    """What an extra of the project consists of."""
    # Imported here because a Python too old to have it must still be told so.
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: list[str] = project["optional-dependencies"][extra]
    return found


def install_aside(extra: str) -> bool:
    """Put an extra's own packages, without what they need besides, into a folder of their own."""
    folder = ASIDE / extra
    shutil.rmtree(folder, ignore_errors=True)
    return pip_install(f"Installing {extra} aside", "--no-deps", "--target", str(folder), *requirements(extra))


def install(extras: set[str], build: str, aside: frozenset[str] = frozenset()) -> None:
    """Bring .venv up to date. Ends the program with a sentence when that fails."""
    if is_installed(extras, build, aside):
        return
    make_venv()
    STAMP.unlink(missing_ok=True)
    LOG.write_text("", encoding="utf-8")
    say("Installing Swarm. This happens once and takes some minutes; later starts take seconds.")
    project = f".[{','.join(sorted(extras))}]"
    done = install_torch(build) and pip_install("Installing everything else", "--editable", project)
    if not (done and all(install_aside(extra) for extra in sorted(aside))):
        tail = LOG.read_text("utf-8", errors="replace").splitlines()[-12:]
        say("\n".join(f"  {line}" for line in tail))
        sys.exit(f"The installation failed. Is there a network connection? All of pip's output is in {LOG}.")
    stamp = {"fingerprint": fingerprint(), "extras": sorted(extras), "aside": sorted(aside), "torch": build}
    STAMP.write_text(json.dumps(stamp), encoding="utf-8")


def hand_over(python: str, *arguments: str) -> int:
    """Become the given Python program where the system can, else run it and return its exit code."""
    command = [python, *arguments]
    if os.name != "nt":
        os.execv(python, command)
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0


def main(arguments: list[str]) -> int:
    """Install what is missing, then start the server or the checks."""
    if sys.version_info < OLDEST_PYTHON:
        say(f"Swarm needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer; this is {sys.version.split()[0]}.")
        return 1
    checks = arguments[:1] == ["check"]
    build, rest = torch_build(arguments[1:] if checks else arguments)
    starts = not rest or rest[0].startswith("-")
    if starts and not checks and {"-h", "--help"} & set(rest):
        sys.stdout.write(HELP)
        sys.stdout.flush()
        os.environ["PYTHONPATH"] = str(ROOT)
        return hand_over(sys.executable, "-m", "swarm", "--help")
    try:
        install({"engine", "dev"} if checks else {"engine"}, build, frozenset({"upscalers"} if checks else ()))
    except KeyboardInterrupt:
        say("\nStopped. The next start goes on with the installation.")
        return 130
    if checks:
        os.chdir(ROOT)
        return hand_over(str(venv_python()), "-m", "tests.check", *rest)
    # Python is not to look for modules in the folder one stands in: a `swarm` there would come before ours.
    os.environ["PYTHONSAFEPATH"] = "1"
    return hand_over(str(venv_python()), "-m", "swarm", *rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
