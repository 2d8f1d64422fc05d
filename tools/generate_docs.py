"""Writes the reference pages in docs/ from the declarations: `python -m tools.generate_docs`. A test compares them."""

from __future__ import annotations

from pathlib import Path

import swarm.api.routes
import swarm.diffusion.samplers
import swarm.diffusion.schedules
import swarm.features
import swarm.prompt.tags
from swarm.api.docs import routes_page
from swarm.api.route import Route
from swarm.base.registry import collect
from swarm.diffusion.docs import samplers_page
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule
from swarm.params.docs import params_page
from swarm.params.param import Param
from swarm.params.registry import ParamRegistry
from swarm.prompt.docs import prompt_syntax_page
from swarm.prompt.tag import PromptTag

DOCS = Path(__file__).resolve().parents[1] / "docs"


def pages() -> dict[str, str]:
    """The text of each generated page by file name. Extensions document themselves and are not in them."""
    return {
        "routes.md": routes_page(collect(swarm.api.routes, Route)),
        "params.md": params_page(ParamRegistry.of(collect(swarm.features, Param))),
        "prompt-syntax.md": prompt_syntax_page(collect(swarm.prompt.tags, PromptTag)),
        "samplers.md": samplers_page(
            collect(swarm.diffusion.samplers, Sampler), collect(swarm.diffusion.schedules, Schedule)
        ),
    }


if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
