"""Several pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.image import Pixels, from_pillow, to_pillow

_LAYOUTS = {2: (2, 1), 3: (3, 1), 4: (2, 2), 5: (3, 2), 6: (3, 2), 7: (4, 2), 8: (4, 2)} | {
    9: (3, 3),
    10: (5, 2),
    11: (4, 3),
    12: (4, 3),
}


def grid_size(count: int) -> tuple[int, int]:
    """(columns, rows) for `count` pictures, at least 1 (swarm-t2i 4.10)."""
    if count in _LAYOUTS:
        return _LAYOUTS[count]
    columns = ceil(sqrt(count))
    return columns, columns - 1 if count <= columns * (columns - 1) else columns


def contact_sheet(pictures: Sequence[Pixels]) -> Pixels:
    """The pictures in reading order on black, each in a cell as large as the largest. Raises BadInput for none."""
    if not pictures:
        raise BadInput("A contact sheet needs at least one picture.")
    columns, rows = grid_size(len(pictures))
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, picture in enumerate(pictures):
        image = to_pillow(picture)
        corner = (index % columns * width, index // columns * height)
        sheet.paste(image, corner, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    return from_pillow(sheet)
