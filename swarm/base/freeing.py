"""How the C library of a server keeps memory: large blocks go back when they are free, and all threads share one heap.

glibc takes blocks from the system one by one from some size on, and raises that size to that of the largest block it
has ever freed: after one large upload, what later ones leave behind lies in between smaller things and is kept. And it
makes up to eight heaps for every core, each of which keeps for itself what its threads have freed.
"""

from __future__ import annotations

import ctypes
import sys

LARGE = 2**20
"""Bytes from which a block is taken from the system by itself, and given back by itself."""
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def give_back_large_blocks() -> bool:
    """For the whole process from now on. False where memory is not managed by glibc."""
    return _set(_M_MMAP_THRESHOLD, LARGE)


def share_one_heap() -> bool:
    """For the whole process; heaps that threads have already are kept. False where memory is not managed by glibc.

    Threads of Python mostly wait for each other anyway, and small blocks are kept per thread as ever.
    """
    return _set(_M_ARENA_MAX, 1)


def _set(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(option, value))
    except (OSError, AttributeError):
        return False
