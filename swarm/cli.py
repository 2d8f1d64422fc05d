"""The command line: flags and settings -> LaunchOptions -> a listening server. The only reader of sys.argv."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from swarm.base.errors import SwarmError
from swarm.base.logs import LogBuffer, level_of, set_up_logging
from swarm.settings.file import load_settings
from swarm.settings.options import LaunchOptions
from swarm.settings.server import LOG_LEVELS, NetworkSettings, ServerSettings

_log = logging.getLogger(__name__)
_PROGRAM = Path(__file__).resolve().parents[1]
_EVERYWHERE = frozenset({"*", "0.0.0.0", "::", "[::]"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LAUNCH_MODES = ("none", "web", "webinstall", "electron")
_BAD_START = 1
_BAD_FLAGS = 2
_RESTART = 42


class _CannotStart(SwarmError):
    """The server cannot start; the text is the sentence for the person at the terminal."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        raise _CannotStart(f"{message[:1].upper()}{message[1:]}. --help lists the flags.")


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


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
    return text.lower() == "true"


def _parser() -> _Parser:
    parser = _Parser(
        prog="swarm",
        description="An image-generation server that speaks SwarmUI's wire. Settings can be flags; flags win.",
        epilog="In the names of flags, - and _ are the same. Values follow after a blank or after =.",
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
    )
    return options, settings


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """What to bind for a host setting; a bare `localhost` is both loopback addresses."""
    if host in ("*", "::", "[::]"):
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    if host.lower() == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError:
        raise _CannotStart(f"The address '{host}' cannot be listened on: it is unknown.") from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to all addresses of `host`. Raises SwarmError with a sentence; IPv6 may be missing."""
    bound: list[socket.socket] = []
    for family, address in _addresses(host):
        try:
            bound.append(_bound(family, address, port))
        except OSError as error:
            if family == socket.AF_INET6 and bound and error.errno != errno.EADDRINUSE:
                continue
            for each in bound:
                each.close()
            raise _CannotStart(_why_not_bound(error, host, port)) from None
    return bound


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _why_not_bound(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. Stop it, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used without more rights. Choose one above 1023 with --port."
    return f"The address '{host}' cannot be listened on: {error.strerror or error}."


def _url(options: LaunchOptions) -> str:
    host = "localhost" if options.host in _EVERYWHERE | _LOOPBACK else options.host
    return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"


def _uvicorn_settings(network: NetworkSettings) -> dict[str, Any]:
    """How uvicorn serves the app."""
    return {
        "http": "httptools",
        "ws": "websockets-sansio",
        "ws_per_message_deflate": False,
        "ws_max_size": network.max_request_bytes,
        "ws_ping_interval": 30,
        "ws_ping_timeout": 120,
        "lifespan": "on",
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        # Callers could otherwise choose their own address; source_address reads the header where it is wanted.
        "proxy_headers": False,
        "server_header": False,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": 10,
    }


def _serve(options: LaunchOptions, network: NetworkSettings, listeners: list[socket.socket], logs: LogBuffer) -> int:
    """Serve until the end; returns the exit code, `_RESTART` when the server is to start again."""
    # Imported here so that --help and a wrong flag answer at once.
    import uvicorn

    from swarm.app import Surroundings, build_app

    class Server(uvicorn.Server):
        """uvicorn, saying where it is once it listens."""

        restart = False

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                sys.stdout.write(f"Swarm is ready: {_url(options)}\n")
                sys.stdout.flush()
                if options.launch_mode != "none":
                    webbrowser.open(_url(options))

    def stop(restart: bool) -> None:
        server.restart = restart
        server.should_exit = True

    app = build_app(options, Surroundings(logs=logs, stop=stop))
    server = Server(uvicorn.Config(app, **_uvicorn_settings(network)))
    server.run(sockets=listeners)
    if not server.started:
        return _BAD_START
    return _RESTART if server.restart else 0


def _stop(number: int, frame: object) -> None:
    raise SystemExit(0)


def main(arguments: Sequence[str]) -> int:
    """Run the server until it is stopped; returns the exit code."""
    try:
        options, settings = parse_options(arguments)
    except SwarmError as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_FLAGS
    logs = set_up_logging(options.loglevel)
    # uvicorn stops on these signals by itself and then raises them again: by then there is nothing left to do.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    if options.host.lower() not in _LOOPBACK:
        _log.warning("Everyone who can reach %s can use this server: it has no accounts yet.", _url(options))
    try:
        code = _serve(options, settings.network, listening_sockets(options.host, options.port), logs)
    except SwarmError as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_START
    if code == _RESTART:
        sys.stdout.flush()
        # The same program with the same flags in the same process, so that whoever started it still has hold of it.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return code
