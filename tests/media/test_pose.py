"""Drawings of poses, pixel by pixel where that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from swarm.media.pose import COLOURS, FINGERS, LIMBS, Person, Point, Points, drawn_people

NOBODY: Points = (None,) * 18


def body(**points: Point) -> Points:
    """A body of which only some points are seen: `p1=(20, 12)`."""
    found = {int(name[1:]): point for name, point in points.items()}
    return tuple(found.get(number) for number in range(18))


def hand(*points: Point) -> Points:
    return (*points, *[None] * (21 - len(points)))


def drawn(*people: Person, width: int = 70, height: int = 40) -> np.ndarray:
    pixels = drawn_people(people, width, height)
    assert (pixels.width, pixels.height, pixels.mode) == (width, height, "RGB")
    return np.frombuffer(pixels.data, np.uint8).reshape(height, width, 3)


def places(picture: np.ndarray, colour: tuple[int, int, int], row: int) -> list[int]:
    found: list[int] = (picture[row] == colour).all(axis=-1).nonzero()[0].tolist()
    return found


def test_nobody_is_black() -> None:
    assert not drawn().any()
    assert not drawn(Person(body=NOBODY)).any()


@pytest.mark.parametrize("joint", range(18))
def test_each_joint_is_a_disc_of_its_colour(joint: int) -> None:
    picture = drawn(Person(body=body(**{f"p{joint}": (30.9, 20.2)})))
    rows = [places(picture, COLOURS[joint], row) for row in range(15, 26)]
    assert [len(row) for row in rows] == [0, 1, 5, 7, 7, 9, 7, 7, 5, 1, 0]
    assert all(row == list(range(30 - len(row) // 2, 31 + len(row) // 2)) for row in rows if row)
    assert picture.any(axis=-1).sum() == 49


def test_a_limb_is_a_darker_ellipse_from_joint_to_joint() -> None:
    picture = drawn(Person(body=body(p1=(20, 12), p2=(44, 12))))
    limb = (153, 0, 0)
    # Half axes of 12 and 4 about (32, 12): the outermost rows reach as far as 4 sin(t) is rounded to 4, 12 cos(61°).
    assert places(picture, limb, 8) == places(picture, limb, 16) == list(range(26, 39))
    # In the middle row the joints' discs, nine pixels wide, lie over its ends.
    assert places(picture, limb, 12) == list(range(25, 40))
    assert not picture[7].any() and not picture[17].any()
    assert tuple(picture[12, 20]) == (255, 85, 0) and tuple(picture[12, 44]) == (255, 170, 0)


@pytest.mark.parametrize(("limb", "colour"), list(zip(LIMBS, COLOURS, strict=False)))
def test_limbs_have_the_colours_that_models_learned(limb: tuple[int, int], colour: tuple[int, int, int]) -> None:
    picture = drawn(Person(body=body(**{f"p{limb[0]}": (10, 20), f"p{limb[1]}": (50, 20)})))
    assert picture[20, 30].tolist() == [level * 3 // 5 for level in colour]


def test_slanting_limbs_lie_along_their_line() -> None:
    picture = drawn(Person(body=body(p8=(10, 5), p9=(40, 35))))
    colour = (0, 153, 51)
    assert all(tuple(picture[5 + step, 10 + step]) == colour for step in range(8, 23))
    # Four pixels to each side of the middle, measured across: at a right angle, (25 ± 2.8, 20 ∓ 2.8).
    assert tuple(picture[18, 27]) == colour and tuple(picture[22, 23]) == colour
    assert not picture[16, 29].any() and not picture[24, 21].any()


def test_a_limb_without_one_of_its_ends_is_left_out() -> None:
    picture = drawn(Person(body=body(p2=(20, 12), p4=(44, 12))))
    assert {tuple(colour) for colour in picture.reshape(-1, 3)} == {(0, 0, 0), COLOURS[2], COLOURS[4]}


def test_hands_are_coloured_lines_and_blue_joints() -> None:
    assert FINGERS[:5] == ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5)) and FINGERS[16] == (0, 17)
    picture = drawn(Person(body=NOBODY, left_hand=hand((5, 20), (25, 20)), right_hand=hand((40, 10), (60, 10))))
    # Three pixels high between the discs, whose middle rows end at 9 and begin at 21.
    assert places(picture, (255, 0, 0), 20) == list(range(10, 21))
    assert len(places(picture, (255, 0, 0), 19)) == len(places(picture, (255, 0, 0), 21)) == 13
    assert not places(picture, (255, 0, 0), 18)
    assert places(picture, (0, 0, 255), 20) == [*range(1, 10), *range(21, 30)]
    assert places(picture, (255, 0, 0), 10) == list(range(45, 56))


def test_faces_are_white_dots_over_everything_else() -> None:
    picture = drawn(Person(body=body(p0=(30, 20)), left_hand=hand((32, 20)), face=((31, 20), None)))
    rows = [len(places(picture, (255, 255, 255), row)) for row in range(16, 25)]
    assert rows == [0, 1, 5, 5, 7, 5, 5, 1, 0]
    assert tuple(picture[20, 36]) == (0, 0, 255) and tuple(picture[20, 26]) == COLOURS[0]


def test_hands_and_faces_are_not_drawn_on_the_very_edge() -> None:
    edge = ((0.9, 20.0), (20.0, 0.0))
    assert not drawn(Person(body=NOBODY, left_hand=hand(*edge), face=edge)).any()


def test_what_lies_outside_the_picture_is_cut_off() -> None:
    picture = drawn(Person(body=body(p1=(-30, 20), p2=(30, 20), p3=(500, 700))))
    assert tuple(picture[20, 0]) == (153, 0, 0)
    assert tuple(picture[20, 30]) == COLOURS[2]
