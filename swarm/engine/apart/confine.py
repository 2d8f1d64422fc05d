"""Giving up rights for good, before a file that nobody vouches for is opened: limits, and no way out of the process.

Where the system offers less (anything but Linux on x86-64 and ARM64), the limits that it does offer hold.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

import psutil

try:
    import resource
except ImportError:  # Windows has no limits of this kind
    resource = None  # type: ignore[assignment]

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_OTHER_NUMBERS = 0x40000000
"""From here on the same calls are counted a second time, on x86-64."""

_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NOT_PERMITTED = 1
_NEWNET, _NEWUSER = 0x40000000, 0x10000000
_CALLS = {
    # socket connect bind sendto execve execveat fork vfork ptrace kill tkill tgkill open openat openat2 creat unlink
    # unlinkat rename renameat renameat2 mkdir mkdirat symlink symlinkat link linkat io_uring_setup process_vm_writev
    "x86_64": (
        0xC000003E,
        (
            *(41, 42, 49, 44, 59, 322, 57, 58, 101, 62, 200, 234, 2, 257, 437, 85, 87, 263, 82, 264, 316, 83, 258, 88),
            *(266, 86, 265, 425, 311, 53, 288, 43, 90, 91, 92, 93, 94, 268, 260),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(198, 203, 200, 206, 221, 281, 117, 129, 130, 131, 56, 437, 35, 38, 276, 34, 36, 37, 425, 271, 199, 202),
            *(242, 52, 53, 54, 55),
        ),
    ),
}
"""By machine: the number that stands for it, and the calls that are refused: the network, other programs, other files,
other processes. Threads stay possible, for the library starts some."""


def confine(*, memory: int, file_size: int, seconds: int) -> None:
    """Give the rights up. `memory` (more than is used now) and `file_size` in bytes; `seconds` of processor time.

    Open files stay usable.
    """
    if resource is None:
        return
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, psutil.Process().memory_info().vms + memory),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(what)[1]
        wanted = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (wanted, wanted))
    if sys.platform == "linux":
        _leave_network()
        _refuse_calls()


def _leave_network() -> None:
    """A network of its own without any devices, where the system lets everyone have one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWNET) != 0:
        libc.unshare(_NEWUSER | _NEWNET)


def _refuse_calls() -> None:
    """A seccomp filter: the refused calls fail with "operation not permitted"."""
    known = _CALLS.get(platform.machine())
    if known is None:
        return
    machine, calls = known
    steps = [(_LOAD, 0, 0, 4), (_EQUALS, 1, 0, machine), (_RETURN, 0, 0, _ERROR | _NOT_PERMITTED), (_LOAD, 0, 0, 0)]
    steps.append((_AT_LEAST, len(calls) + 1, 0, _OTHER_NUMBERS))
    for number, call in enumerate(calls):
        steps.append((_EQUALS, len(calls) - number, 0, call))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | _NOT_PERMITTED)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or libc.prctl(_SECCOMP, _FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
