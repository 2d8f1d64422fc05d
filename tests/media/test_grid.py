"""Contact sheets."""

from __future__ import annotations

import pytest

from swarm.base.errors import BadInput
from swarm.media.grid import contact_sheet, grid_size
from swarm.media.image import Pixels, to_pillow


def flat(width: int, height: int, colour: bytes) -> Pixels:
    return Pixels(width=width, height=height, mode="RGB", data=colour * (width * height))


@pytest.mark.parametrize(
    ("count", "size"),
    [
        *((1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (4, (2, 2)), (5, (3, 2)), (6, (3, 2)), (7, (4, 2)), (8, (4, 2))),
        *(
            (9, (3, 3)),
            (10, (5, 2)),
            (11, (4, 3)),
            (12, (4, 3)),
            (13, (4, 4)),
            (16, (4, 4)),
            (17, (5, 4)),
            (20, (5, 4)),
        ),
        *((21, (5, 5)), (26, (6, 5)), (100, (10, 10))),
    ],
)
def test_columns_and_rows(count: int, size: tuple[int, int]) -> None:
    assert grid_size(count) == size


def test_cells_are_as_large_as_the_largest_picture() -> None:
    sheet = contact_sheet([flat(4, 2, b"\xff\0\0"), flat(2, 6, b"\0\xff\0"), flat(1, 1, b"\0\0\xff")])
    assert (sheet.width, sheet.height) == (12, 6)
    image = to_pillow(sheet)
    assert [image.getpixel(at) for at in [(0, 0), (4, 5), (8, 0), (0, 5)]] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (0, 0, 0),
    ]


def test_no_picture_makes_no_sheet() -> None:
    with pytest.raises(BadInput):
        contact_sheet([])
