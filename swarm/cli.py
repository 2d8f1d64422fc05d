"""The command line: flags and settings -> LaunchOptions -> a listening server. The only reader of sys.argv."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from swarm.base.errors import SwarmError
from swarm.base.freeing import give_back_large_blocks, share_one_heap
from swarm.base.log_file import LogFile, log_path
from swarm.base.logs import LogBuffer, level_of, set_up_logging
from swarm.listening import CannotStart, listening_sockets
from swarm.owner import asked_for_password, read_password
from swarm.settings.file import load_settings
from swarm.settings.options import LaunchOptions
from swarm.settings.server import LOG_LEVELS, ServerSettings

_log = logging.getLogger(__name__)
_PROGRAM = Path(__file__).resolve().parents[1]
_EVERYWHERE = frozenset({"*", "0.0.0.0", "::", "[::]"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LAUNCH_MODES = ("none", "web", "webinstall", "electron")
_BAD_START = 1
_BAD_FLAGS = 2
_RESTART = 42


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        raise CannotStart(f"{message[:1].upper()}{message[1:]}. --help lists the flags.")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, which is a number from 1 to 65535")
    return int(text)


def _level(text: str) -> str:
    try:
        level_of(text)
    except KeyError:
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(LOG_LEVELS)}") from None
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds, 0 to 86400")
    return seconds


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
    return text.lower() == "true"


def _parser() -> _Parser:
    parser = _Parser(
        prog="swarm",
        description="An image-generation server that speaks SwarmUI's wire. Settings can be flags; flags win.",
        epilog="Further: `gen`, `doctor`, `backup` and `restore` in place of flags; each has a --help of its own. "
        "In the names of flags, - and _ are the same. Values follow after a blank or after =.",
        allow_abbrev=False,
    )
    flag = parser.add_argument
    flag("--host", help="address to listen on; 0.0.0.0 or * for all (default: the setting Network.Host, localhost)")
    flag("--port", type=_port, help="port to listen on (default: the setting Network.Port, 7801)")
    flag("--data-dir", type=Path, metavar="FOLDER", help="where settings and accounts are kept (default: Data)")
    flag("--models-dir", metavar="FOLDER", help="where models are; several with ; between (default: Models)")
    flag("--output-dir", type=Path, metavar="FOLDER", help="where pictures are saved (default: Output)")
    flag("--settings-file", type=Path, metavar="FILE", help="the server settings (default: Settings.fds of the data)")
    flag("--backends-file", type=Path, metavar="FILE", help="the backends (default: Backends.fds of the data)")
    flag("--launch-mode", choices=_LAUNCH_MODES, default="none", help="web opens a browser (default: none)")
    flag("--loglevel", type=_level, metavar="LEVEL", help=f"least important lines to show: {', '.join(LOG_LEVELS)}")
    flag("--user-id", default="local", metavar="NAME", help="who callers are when they do not say (default: local)")
    flag("--no-persist", type=_truth, nargs="?", const=True, default=False, help="keep sessions in memory only")
    flag("--lock-settings", type=_truth, nargs="?", const=True, default=False, help="do not save changed settings")
    flag("--log-format", choices=("text", "json"), default="text", help="json: one object per line (default: text)")
    flag("--grace", type=_seconds, metavar="SECONDS", default=30.0, help="how long the end waits for pictures in work")
    flag("--owner-password-file", metavar="FILE", help="the owner's password, first line; - for the standard input")
    flag(
        "--insecure-no-auth",
        action="store_true",
        help="let everyone who can reach the server use it, when it listens for other machines",
    )
    flag(
        "--require-control-within",
        type=float,
        metavar="MINUTES",
        default=0.0,
        help="stop when AdminTakeControl was not called for so long",
    )
    return parser


def _dashed(argument: str) -> str:
    """A flag with its name spelled with dashes; anything else as it is."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-").lower() + equals + value


def parse_options(arguments: Sequence[str], program: Path = _PROGRAM) -> tuple[LaunchOptions, ServerSettings]:
    """Launch options from flags, completed from the settings file, and these settings.

    Relative folders of flags start at the working directory, those of settings and defaults at `program`.
    Raises SwarmError with a sentence.
    """
    given = _parser().parse_args([_dashed(each) for each in arguments])
    data = given.data_dir.absolute() if given.data_dir else program / "Data"
    settings_file = given.settings_file.absolute() if given.settings_file else data / "Settings.fds"
    settings = load_settings(settings_file)
    if given.models_dir:
        models = tuple(Path(part.strip()).absolute() for part in given.models_dir.split(";") if part.strip())
    else:
        models = tuple(program / part.strip() for part in settings.paths.model_root.split(";") if part.strip())
    options = LaunchOptions(
        host=given.host or settings.network.host,
        port=given.port or settings.network.port,
        data_dir=data,
        models_dirs=models or (program / "Models",),
        output_dir=given.output_dir.absolute() if given.output_dir else program / settings.paths.output_path,
        settings_file=settings_file,
        backends_file=given.backends_file.absolute() if given.backends_file else data / "Backends.fds",
        launch_mode=given.launch_mode,
        loglevel=given.loglevel or settings.logs.log_level,
        user_id=given.user_id,
        persist=not given.no_persist,
        lock_settings=given.lock_settings,
        require_control_within=given.require_control_within,
        grace_seconds=given.grace,
        json_logs=given.log_format == "json",
        owner_password=read_password(given.owner_password_file),
        insecure_no_auth=given.insecure_no_auth,
    )
    return options, settings


def _url(options: LaunchOptions) -> str:
    host = "localhost" if options.host in _EVERYWHERE | _LOOPBACK else options.host
    return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"


def _serve(options: LaunchOptions, settings: ServerSettings, listeners: list[socket.socket], logs: LogBuffer) -> int:
    """Serve until the end; returns the exit code, `_RESTART` when the server is to start again."""
    give_back_large_blocks()
    share_one_heap()  # before anything that is imported starts threads
    # Imported here so that --help and a wrong flag answer at once.
    from swarm.serve import serve

    started, restart = serve(options, settings, listeners, logs, _url(options))
    if not started:
        return _BAD_START
    return _RESTART if restart else 0


def _stop(number: int, frame: object) -> None:
    raise SystemExit(0)


def _write_log_file(options: LaunchOptions, settings: ServerSettings) -> None:
    """Have the lines of the log written into a file, if the settings want that and the disk takes it."""
    if settings.logs.save_log_to_file:
        try:
            path = log_path(options.data_dir, settings.logs.logs_path, datetime.now(), os.getpid())
            logging.getLogger().addHandler(LogFile(path, options.loglevel))
        except (OSError, SwarmError) as error:
            _log.error("The log cannot be written into a file: %s", error)


COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "gen": ("swarm.commands.gen", "run"),
        "doctor": ("swarm.commands.doctor", "run"),
        "backup": ("swarm.commands.archive", "run_backup"),
        "restore": ("swarm.commands.archive", "run_restore"),
    }
)
"""Module and function of each subcommand. Only the one that is wanted is imported."""


def main(arguments: Sequence[str]) -> int:
    """Run a subcommand, or the server until it is stopped; returns the exit code."""
    if arguments and arguments[0] in COMMANDS:
        module, function = COMMANDS[arguments[0]]
        return int(getattr(importlib.import_module(module), function)(arguments[1:]))
    try:
        options, settings = parse_options(arguments)
        options = asked_for_password(options, settings)
    except SwarmError as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_FLAGS
    logs = set_up_logging(options.loglevel, json_lines=options.json_logs)
    _write_log_file(options, settings)
    # uvicorn stops on these signals by itself and then raises them again: by then there is nothing left to do.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        code = _serve(options, settings, listening_sockets(options.host, options.port), logs)
    except SwarmError as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_START
    if code == _RESTART:
        sys.stdout.flush()
        # The same program with the same flags in the same process, so that whoever started it still has hold of it.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return code
