"""The baseline: a bare diffusers pipeline in a process of its own, set up as the engine's is. Used by other benchmarks.

Reads one JSON request per line (`{"seed", "steps", "side", "cfg"}`), answers one JSON line with the seconds it took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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
        if json.loads(self._out.readline()) != "ready":
            raise RuntimeError("The bare pipeline did not start.")

    @property
    def _out(self) -> IO[str]:
        return cast(IO[str], self._child.stdout)

    def picture(self, *, seed: int, steps: int, side: int, cfg: float) -> float:
        """Seconds for one picture, VAE and conversion to PIL included, saving not."""
        stdin = cast(IO[str], self._child.stdin)
        stdin.write(json.dumps({"seed": seed, "steps": steps, "side": side, "cfg": cfg}) + "\n")
        stdin.flush()
        return float(json.loads(self._out.readline()))

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
        begun = time.perf_counter()
        pipe(
            "a red house by the sea",
            negative_prompt="",
            num_inference_steps=ask["steps"],
            guidance_scale=ask["cfg"],
            width=ask["side"],
            height=ask["side"],
            generator=torch.Generator("cpu").manual_seed(ask["seed"]),
        )
        sys.stdout.write(json.dumps(time.perf_counter() - begun) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
