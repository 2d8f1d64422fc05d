"""python -m swarm.engine: frames on stdin and stdout, logs on stderr. Ends when stdin ends, whatever it is doing."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import threading
import time
from typing import BinaryIO

import psutil

from swarm.engine.allocator import keep_freed_memory
from swarm.engine.mailbox import Mailbox


def main() -> None:
    arguments = _arguments()
    _prepare_environment(arguments.threads)
    keep_freed_memory()
    frames = _claimed_stdout()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    mailbox = Mailbox()
    threading.Thread(target=_read, args=(mailbox,), name="reader", daemon=True).start()
    threading.Thread(target=mailbox.write_to, args=(frames,), name="writer", daemon=True).start()
    # Only now: the environment decides how torch counts threads and that nothing is looked up on the network.
    importlib.import_module("swarm.engine.torchvision_operators").declare_missing_operators()
    start = importlib.import_module("swarm.engine.start")
    start.serve(
        mailbox,
        gpu=arguments.gpu,
        dtype=arguments.dtype,
        together=not arguments.alone,
        residency=arguments.residency,
        kernel=arguments.attention,
        clock=time.monotonic,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m swarm.engine", description=__doc__)
    parser.add_argument("--gpu", type=int, default=0, help="number of the CUDA device; without CUDA the CPU is used")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "float16", "bfloat16", "float8"))
    parser.add_argument("--alone", action="store_true", help="never let pictures share a model call")
    parser.add_argument(
        "--residency",
        default="auto",
        choices=("auto", "full", "balanced", "low"),
        help="how much of a model stays on the device",
    )
    parser.add_argument(
        "--attention",
        default="auto",
        choices=("auto", "flash", "efficient", "cudnn", "math"),
        help="which of torch's attention kernels to use",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for one per physical core")
    return parser.parse_args()


def _prepare_environment(threads: int) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    # Read while they are imported, before start.be_quiet can be called: their advice is not for whoever reads our log.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    if threads > 0:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(psutil.cpu_count(logical=False) or 1))


def _claimed_stdout() -> BinaryIO:
    """The real stdout, kept for frames; what anybody prints goes to stderr instead."""
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return frames


def _read(mailbox: Mailbox) -> None:
    """Read until the parent is gone, then end at once: there is nobody left to work for."""
    try:
        mailbox.read_from(sys.stdin.buffer)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
