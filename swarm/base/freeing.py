"""Large blocks of memory go back to the system when they are free.

glibc takes blocks from the system one by one from some size on, and raises that size to that of the largest block it
has ever freed: after one large upload, what later ones leave behind lies in between smaller things and is kept.
"""

from __future__ import annotations

import ctypes
import sys

LARGE = 2**20
"""Bytes from which a block is taken from the system by itself, and given back by itself."""
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> bool:
    """For the whole process from now on. False where memory is not managed by glibc."""
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE))
    except (OSError, AttributeError):
        return False
