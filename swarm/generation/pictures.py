"""Pictures that come with a request: refused before anything is promised if no backend could open them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swarm.base.errors import BadInput
from swarm.media.image import Picture, open_image
from swarm.params.input import GenerationInput
from swarm.params.registry import ParamRegistry


def check_pictures(input: GenerationInput, params: ParamRegistry) -> None:
    """Read the header of every still picture: its format must be one we open, its size within the cap.

    Raises BadInput, worded as other bad values are (swarm-t2i 3.2).
    """
    for id, value in input.values.items():
        for picture in _stills(value):
            try:
                open_image(picture.data)
            except BadInput as error:
                raise BadInput(f"Invalid value for parameter {params.params[id].name}: {error.sentence}") from None


def _stills(value: Any) -> Iterator[Picture]:
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, Picture) and one.mime.startswith("image/"):
            yield one
