"""How classes are declared that are recognised and listed but that this server has no engine of its own for."""

from __future__ import annotations

from swarm.architectures.architecture import Architecture, CompatClass, Detector


def listed(
    id: str,
    name: str,
    compat: CompatClass,
    width: int,
    height: int | None = None,
    *,
    detect: Detector | None = None,
    pipeline: str = "",
) -> Architecture:
    """A class by its wire facts. `height` None: square. `detect` None: known by its metadata only.

    `pipeline`: the diffusers class whose folders are of this class, and run whole.
    """
    return Architecture(
        id=id,
        name=name,
        compat=compat,
        standard_width=width,
        standard_height=width if height is None else height,
        detect=detect,
        pipeline=pipeline,
    )
