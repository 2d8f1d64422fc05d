"""Tells the C library to keep memory that torch gives back, instead of asking the system for fresh pages at every op.

glibc takes blocks over a moving threshold from the system and returns them when freed; every such block is then paid
for again, page by page, when it is first written. A step of a small model on the CPU is 5 to 7 % faster without that.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MEGABYTE = 1024 * 1024


def keep_freed_memory() -> None:
    """Serve blocks of up to 64 MiB from the heap, and keep up to 512 MiB of it when free. Only glibc knows how."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_MMAP_THRESHOLD, 64 * _MEGABYTE)
    mallopt(_TRIM_THRESHOLD, 512 * _MEGABYTE)
    mallopt(_TOP_PAD, 16 * _MEGABYTE)
