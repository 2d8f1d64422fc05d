"""Names from people made safe for disks, and the one way from such a name to a file below a root.

Cleaning follows swarm-core 8.3 and swarm-t2i 6.1. Cleaning alone protects nothing: every path goes through `under`,
which resolves symlinks and compares whole path components.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from swarm.base.accents import composed
from swarm.base.errors import BadInput

logger = logging.getLogger(__name__)

BAD_PATH = "Unacceptable path. If you are the server owner, check program console log."

_CONTROL = "\x00-\x1f\x7f-\x9f"
_FORBIDDEN = re.compile(f'[{_CONTROL}<>:"|?*~&@;#$^\\\\]')
_STRICTLY_FORBIDDEN = re.compile(
    f'[{_CONTROL}<>:"|?*~&@;#$^\\\\.'
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206c\u206e\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SLASHES = re.compile("/{2,}")
_RESERVED = frozenset(["con", "prn", "aux", "nul"]) | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}

_MAX_PART_BYTES = 255
_MAX_PATH_BYTES = 2048


def clean_file_name(text: str) -> str:
    """The strict clean: a relative path without dots, forbidden or invisible characters; may come out empty.

    `/` separates parts and stays. Parts that Windows reserves for devices get `_` appended.
    """
    kept = _STRICTLY_FORBIDDEN.sub("", composed(text).replace("\\", "/"))
    parts = [part.strip() for part in kept.split("/")]
    return "/".join(f"{part}_" if part.lower() in _RESERVED else part for part in parts if part)


def clean_output_path(text: str) -> str:
    """The milder clean for paths of existing files: dots stay, `..` goes. Relative, no slash at either end."""
    kept = _FORBIDDEN.sub("", text.replace("\\", "/").replace("%20", " "))
    while ".." in kept:
        kept = kept.replace("..", "")
    return _SLASHES.sub("/", kept).strip("/")


def names_device(part: str) -> bool:
    """Whether Windows takes a path part, whatever its extension, for a device."""
    return part.split(".")[0].strip().lower() in _RESERVED


def is_too_long(relative: str) -> bool:
    """Whether no file system could hold a file of this name."""
    return len(relative.encode("utf-8", "replace")) > _MAX_PATH_BYTES or any(
        len(part.encode("utf-8", "replace")) > _MAX_PART_BYTES for part in relative.split("/")
    )


def is_hidden(relative: str) -> bool:
    """Whether any part starts with a dot: such files are never listed, served, starred or deleted."""
    return any(part.startswith(".") for part in relative.split("/") if part != ".")


def under(root: Path, relative: str) -> Path:
    """The file or folder `relative` means below `root`, symlinks resolved; it need not exist.

    Raises BadInput (`bad_path`) when it would lie outside, or is no name on some system: absolute, with a backslash, a
    colon, `..`, a control character or a device name in it, or too long.
    """
    reason = _unacceptable(relative)
    if reason is None:
        base = Path(os.path.realpath(root))
        resolved = Path(os.path.realpath(base / relative))
        if resolved.is_relative_to(base):
            return resolved
        reason = "leads out of its folder"
    logger.warning("The path %.300a was refused: it %s.", relative, reason)
    raise BadInput(BAD_PATH, error_id="bad_path")


def _unacceptable(relative: str) -> str | None:
    """Why a relative path cannot be used on any system; None when it can."""
    if re.search(f"[{_CONTROL}\ud800-\udfff]", relative):
        return "has control characters"
    if relative.startswith("/") or "\\" in relative or ":" in relative:
        return "is absolute or has a backslash or colon"
    parts = relative.split("/")
    if ".." in parts:
        return "climbs out with '..'"
    if any(names_device(part) for part in parts):
        return "names a device"
    if is_too_long(relative):
        return "is too long"
    return None


def open_under(root: Path, relative: str) -> BinaryIO:
    """Open the regular file `relative` below `root` for reading.

    The way is walked folder by folder without following links, so swapping a folder for a link between check and open
    wins nothing. Raises BadInput like `under`, FileNotFoundError, IsADirectoryError, or another OSError.
    """
    path = under(root, relative)
    if os.open not in os.supports_dir_fd:
        return path.open("rb")
    base = Path(os.path.realpath(root))
    descriptor = _open_beneath(base, path.relative_to(base).parts)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, "not a regular file") if stat.S_ISDIR(mode) else FileNotFoundError
    return os.fdopen(descriptor, "rb")


def open_itself(path: Path) -> BinaryIO:
    """Open a regular file for reading, but never what a link in its place leads to. Raises OSError."""
    if not hasattr(os, "O_NOFOLLOW"):
        return path.open("rb")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return os.fdopen(descriptor, "rb")


def _open_beneath(base: Path, parts: tuple[str, ...]) -> int:
    """A descriptor for the last of `parts`, each opened within the one before. O_NONBLOCK: a fifo must not hold us."""
    current = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    for index, part in enumerate(parts):
        flags = os.O_RDONLY | os.O_NOFOLLOW | (os.O_NONBLOCK if index == len(parts) - 1 else os.O_DIRECTORY)
        try:
            following = os.open(part, flags, dir_fd=current)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise FileNotFoundError(errno.ENOENT, "no such file") from None
            raise
        finally:
            os.close(current)
        current = following
    return current
