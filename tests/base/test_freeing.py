"""Memory that large uploads have used does not stay with the process, and its threads share one heap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KEPT = """
import gc, sys
import psutil
from swarm.base.freeing import give_back_large_blocks
if sys.argv[1] == "set" and not give_back_large_blocks():
    sys.exit(77)
del (largest := [bytearray(30 << 20)])[0]
blocks = [bytearray(b"x") * (2 << 20) for _ in range(40)]
before = psutil.Process().memory_info().rss
del blocks[::2]
gc.collect()
print((before - psutil.Process().memory_info().rss) >> 20)
"""


HEAPS = """
import ctypes, sys
from pathlib import Path
from threading import Barrier, Thread
from swarm.base.freeing import share_one_heap
if sys.argv[1] == "set" and not share_one_heap():
    sys.exit(77)
together = Barrier(8)
def work():
    together.wait()
    block = bytearray(50_000)
    together.wait()
for thread in [Thread(target=work) for _ in range(8)]:
    thread.start()
c = ctypes.CDLL(None)
c.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(c.fopen(sys.argv[2].encode(), b"w"))
c.malloc_info(0, file)
c.fclose(file)
print(Path(sys.argv[2]).read_text().count("<heap nr="))
"""


def said(program: str, *arguments: str) -> int:
    """The number that a fresh process prints."""
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    if ended.returncode == 77:
        pytest.skip("This C library has no such setting.")
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


def test_large_blocks_go_back_one_by_one() -> None:
    """MiB of 40 that are given back."""
    assert said(KEPT, "set") >= 36
    assert said(KEPT, "leave") < 20


def test_threads_share_one_heap(tmp_path: Path) -> None:
    assert said(HEAPS, "set", str(tmp_path / "heaps")) == 1
    assert said(HEAPS, "leave", str(tmp_path / "heaps")) > 1
