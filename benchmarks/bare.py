"""The baseline: a bare diffusers pipeline in a process of its own, set up as the engine's is. Used by other benchmarks.

Reads one JSON request per line (`{"seeds", "steps", "side", "cfg"}`: one call makes a picture of each seed) and answers
with one JSON line: the wall and the CPU seconds it took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast


class Bare:
    """Parent side of the baseline process."""

    def __init__(self, folder: Path, threads: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"},
            text=True,
        )
        self.cpu_seconds = 0.0
        if json.loads(self._out.readline()) != "ready":
            raise RuntimeError("The bare pipeline did not start.")

    @property
    def _out(self) -> IO[str]:
        return cast(IO[str], self._child.stdout)

    def picture(self, *, seed: int, steps: int, side: int, cfg: float) -> float:
        """Seconds for one picture, VAE and conversion to PIL included, saving not."""
        return self.batch(seeds=[seed], steps=steps, side=side, cfg=cfg)

    def batch(self, *, seeds: Sequence[int], steps: int, side: int, cfg: float) -> float:
        """Seconds for one call that makes a picture of every seed."""
        stdin = cast(IO[str], self._child.stdin)
        stdin.write(json.dumps({"seeds": list(seeds), "steps": steps, "side": side, "cfg": cfg}) + "\n")
        stdin.flush()
        wall, cpu = json.loads(self._out.readline())
        self.cpu_seconds += cpu
        return float(wall)

    def close(self) -> None:
        cast(IO[str], self._child.stdin).close()
        self._child.wait(30)


def main() -> int:
    import torch
    from diffusers import DiffusionPipeline, EulerDiscreteScheduler

    pipe = DiffusionPipeline.from_pretrained(sys.argv[1], local_files_only=True)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config, timestep_spacing="linspace")
    pipe.set_progress_bar_config(disable=True)
    sys.stdout.write('"ready"\n')
    sys.stdout.flush()
    for line in sys.stdin:
        ask = json.loads(line)
        begun, cpu = time.perf_counter(), time.process_time()
        count = len(ask["seeds"])
        pipe(
            ["a red house by the sea"] * count,
            negative_prompt=[""] * count,
            num_inference_steps=ask["steps"],
            guidance_scale=ask["cfg"],
            width=ask["side"],
            height=ask["side"],
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in ask["seeds"]],
        )
        sys.stdout.write(json.dumps([time.perf_counter() - begun, time.process_time() - cpu]) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
