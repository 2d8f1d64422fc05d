"""The reference of samplers and schedules, written from their declarations."""

from __future__ import annotations

from collections.abc import Mapping

from swarm.diffusion.sampler import NoiseKind, Sampler
from swarm.diffusion.schedule import Schedule

_HEAD = """# Samplers and schedules

<!-- Generated from the declarations in swarm/diffusion/samplers and swarm/diffusion/schedules; do not edit. -->

`sampler` chooses the solver that removes the noise, `scheduler` the noise levels it visits. Both stand here in the
order of their dropdowns.
"""

_SAMPLERS = """## Samplers

- Order: halving all steps divides the error by two to this power; for samplers that add noise, the error of the
  result's variance. Measured by the tests against a closed form, for beta schedules (and for flow models where there
  is a form for them, or no noise). A dash: the sampler has no such order.
- Calls: model calls a step.
- Noise: a fresh draw for each step, on the model's device as ComfyUI draws it (so a seed makes another picture on a
  CPU than on a GPU), or one Brownian path over sigma, whose steps agree however long they are, drawn on the CPU unless
  it says otherwise. The pictures of one `batchsize` take their parts of one draw for all of them, from the first one's
  seed: the second one alone, with the seed that its metadata names, is another picture.
- Flow: the sampler has a form of its own for flow models. The others take the same steps for all models; those that
  add noise then add it as beta schedules want it.
- Checked against: what the tests compare single results with, beside the order.
"""

_NOISE: Mapping[NoiseKind, str] = {
    "none": "",
    "steps": "each step",
    "brownian": "path",
    "brownian-device": "path, on the device",
}


def samplers_page(samplers: Mapping[str, Sampler], schedules: Mapping[str, Schedule]) -> str:
    """A Markdown page: a table of all samplers, then one of all schedules."""
    methods = "\n".join(_row(*_cells(each)) for each in sorted(samplers.values(), key=lambda each: each.order))
    spacings = "\n".join(
        _row(f"`{each.id}`", each.name, _plain(each.doc))
        for each in sorted(schedules.values(), key=lambda each: each.order)
    )
    return "\n".join([
        _HEAD,
        _SAMPLERS,
        "| id | name | order | calls | noise | flow | checked against | what it is |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        methods,
        "",
        "## Schedules\n",
        "| id | name | what it is |",
        "| --- | --- | --- |",
        spacings,
        "",
    ])  # fmt: skip


def _cells(sampler: Sampler) -> tuple[str, ...]:
    about = _plain(sampler.doc)
    if sampler.wants_unguided:
        about += " Always asks the negative prompt too."
    if sampler.discards_penultimate:
        about += " Its schedule has one step more, whose second-last sigma is dropped."
    return (
        f"`{sampler.id}`",
        sampler.name,
        str(sampler.accuracy) if sampler.accuracy else "–",
        sampler.calls,
        _NOISE[sampler.noise],
        "yes" if sampler.flow_aware else "",
        sampler.oracle,
        about,
    )


def _plain(doc: str) -> str:
    return " ".join(doc.split())


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
