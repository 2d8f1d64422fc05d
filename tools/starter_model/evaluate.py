"""Does the shipped file draw what it is told? `python -m tools.starter_model.evaluate`

Three hundred prompts about combinations that training never saw, drawn by plain diffusers from the single file at 20
steps and guidance 5, and read back by the pixel rules. Ends with one line of JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from PIL import Image

from tools.starter_model.evaluation_set import ATTRIBUTES, Question, judge, questions

ASSETS = Path("assets/starter")
STEPS = 20
GUIDANCE = 5.0
BATCH = 10
UNRELATED = (
    "",
    "portrait of an astronaut riding a horse, trending on artstation",
    "quantum chromodynamics lecture notes",
    "日本の庭園",
    "!!! ??? ((((((",
    "word " * 200,
)

Pixels = np.ndarray


def main() -> None:
    """Draw, read, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--model", type=Path, default=ASSETS / "postcards.safetensors")
    parser.add_argument("--config", type=Path, default=ASSETS / "diffusers")
    parser.add_argument("--solver", choices=("dpmpp_2m_karras", "euler"), default="dpmpp_2m_karras")
    parser.add_argument("--sheet", type=Path, help="save the first 24 pictures here")
    options = parser.parse_args()
    quieten()
    pipeline = load(options.model, options.config, options.solver)
    asked = list(questions(options.prompts))
    began = time.monotonic()
    verdicts, pictures = _answers(pipeline, asked)
    seconds = (time.monotonic() - began) / max(1, len(asked))
    if options.sheet:
        _save_sheet(options.sheet, pictures[:24])
    summary = summarise(verdicts) | {
        "prompts": len(asked),
        "solver": options.solver,
        "steps": STEPS,
        "guidance": GUIDANCE,
        "two_seeds_difference": round(_two_seeds(pipeline), 4),
        "unrelated_prompts_drawn": _unrelated(pipeline),
        "seconds_per_picture": round(seconds, 3),
        "seconds_for_one_alone": round(_one_alone(pipeline), 3),
    }
    sys.stdout.write(table(verdicts) + "\n" + json.dumps(summary) + "\n")


def quieten() -> None:
    """One of the unrelated prompts is too long on purpose; no need to hear about it."""
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()


def load(model: Path, config: Path, solver: str) -> StableDiffusionPipeline:
    """The file as any diffusers user would load it."""
    pipeline = StableDiffusionPipeline.from_single_file(
        str(model), config=str(config), local_files_only=True, dtype=torch.float32
    )
    scheduler = pipeline.scheduler.config
    pipeline.scheduler = (
        EulerDiscreteScheduler.from_config(scheduler)
        if solver == "euler"
        else DPMSolverMultistepScheduler.from_config(scheduler, use_karras_sigmas=True)
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: StableDiffusionPipeline, prompts: Sequence[str], seeds: Sequence[int]) -> list[Pixels]:
    """One picture per prompt; a picture depends on its own prompt and seed alone."""
    drawn = pipeline(
        prompt=list(prompts),
        negative_prompt=[""] * len(prompts),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        height=256,
        width=256,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
    ).images
    return [(picture * 255).round().astype(np.uint8) for picture in drawn]


def summarise(verdicts: Sequence[dict[str, bool]]) -> dict[str, Any]:
    """The share of attributes that are right: of all of them together, and of each."""
    everything = [right for verdict in verdicts for right in verdict.values()]
    return {
        "attributes_right": round(sum(everything) / max(1, len(everything)), 4),
        "by_attribute": {name: round(right / total, 4) for name, right, total in _tally(verdicts)},
        "pictures_all_right": round(sum(all(verdict.values()) for verdict in verdicts) / max(1, len(verdicts)), 4),
    }


def table(verdicts: Sequence[dict[str, bool]]) -> str:
    """The same, to read."""
    lines = ["| attribute | right | of | share |", "|---|---|---|---|"]
    lines += [f"| {name} | {right} | {total} | {right / total:.1%} |" for name, right, total in _tally(verdicts)]
    right, total = (sum(column) for column in zip(*((r, t) for _, r, t in _tally(verdicts)), strict=True))
    return "\n".join([*lines, f"| **all** | {right} | {total} | {right / total:.1%} |"])


def _tally(verdicts: Sequence[dict[str, bool]]) -> Iterator[tuple[str, int, int]]:
    for name in ATTRIBUTES:
        marks = [verdict[name] for verdict in verdicts if name in verdict]
        if marks:
            yield name, sum(marks), len(marks)


def _answers(
    pipeline: StableDiffusionPipeline, asked: Sequence[Question]
) -> tuple[list[dict[str, bool]], list[Pixels]]:
    verdicts, pictures = [], []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        drawn = draw(pipeline, [question.prompt for question in batch], [question.seed for question in batch])
        verdicts += [judge(question.scene, pixels) for question, pixels in zip(batch, drawn, strict=True)]
        pictures += drawn
        sys.stderr.write(f"{len(verdicts)} of {len(asked)}, {summarise(verdicts)['attributes_right']:.1%} right\n")
    return verdicts, pictures


def _two_seeds(pipeline: StableDiffusionPipeline) -> float:
    """The mean difference between two pictures of one prompt, from 0 (the same) to 1."""
    first, second = draw(pipeline, ["a red house on a meadow by day"] * 2, [1, 2])
    return float(np.abs(first.astype(int) - second.astype(int)).mean() / 255)


def _unrelated(pipeline: StableDiffusionPipeline) -> int:
    """How many prompts from another world give a picture all the same."""
    pictures = draw(pipeline, UNRELATED, range(len(UNRELATED)))
    return sum(bool(pixels.std() > 2) for pixels in pictures)


def _one_alone(pipeline: StableDiffusionPipeline) -> float:
    began = time.monotonic()
    draw(pipeline, ["a blue boat on the sea at sunset"], [5])
    return time.monotonic() - began


def _save_sheet(path: Path, pictures: Sequence[Pixels], columns: int = 6) -> None:
    full = len(pictures) // columns * columns
    rows = [np.concatenate(list(pictures[at : at + columns]), axis=1) for at in range(0, full, columns)]
    Image.fromarray(np.concatenate(rows)).save(path, quality=88)


if __name__ == "__main__":
    main()
