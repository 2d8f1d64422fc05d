"""The owner's password, as the person who starts the server gives it: in a file, or asked for at the terminal."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace
from pathlib import Path

from swarm.base.errors import BadInput
from swarm.settings.closed import is_closed, is_loopback
from swarm.settings.options import LaunchOptions
from swarm.settings.server import ServerSettings


def read_password(file: str | None) -> str | None:
    """The first line of a file, `-` being the standard input; None without one. Raises BadInput."""
    if file is None:
        return None
    try:
        text = sys.stdin.readline() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The owner's password could not be read from '{file}': {error}.") from None
    return (text.splitlines() or [""])[0]


def asked_for_password(options: LaunchOptions, settings: ServerSettings) -> LaunchOptions:
    """The options with a password that the person at the terminal was asked for, if one is needed. Raises BadInput."""
    needed = not is_loopback(options.host) and not is_closed(settings)
    if not needed or options.owner_password is not None or options.insecure_no_auth or not sys.stdin.isatty():
        return options
    sys.stdout.write(
        f"Other machines can reach {options.host}. Choose a password for the owner of this server, who logs in as "
        f"'{options.user_id}'; from then on everyone has to log in.\n"
    )
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise BadInput("The two passwords are not the same.")
    return replace(options, owner_password=password)
