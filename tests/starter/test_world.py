"""The procedural world: what it may contain, what it keeps from training, and that its pictures are repeatable."""

import random

import numpy as np
import pytest

from tools.starter_model.captions import COLOUR_WORDS, FULL, LAND_PHRASES, NOUNS, TIME_PHRASES, caption
from tools.starter_model.dataset import scene_at
from tools.starter_model.draw import draw
from tools.starter_model.evaluation_set import judge, questions
from tools.starter_model.restyle import pencil
from tools.starter_model.world import Scene, Thing, combination, is_held_out


def test_a_scene_always_gives_the_same_picture() -> None:
    first, second = (np.asarray(draw(scene_at(3, 14))) for _ in range(2))
    assert first.shape == (256, 256, 3)
    assert np.array_equal(first, second)


def test_a_different_seed_gives_a_different_picture() -> None:
    scene = Scene(time="day", weather="clouds", land="hills", light=True, seed=1)
    other = Scene(time="day", weather="clouds", land="hills", light=True, seed=2)
    assert np.abs(np.asarray(draw(scene)).astype(int) - np.asarray(draw(other))).mean() > 1


def test_training_never_sees_a_held_out_combination() -> None:
    scenes = [scene_at(1, index) for index in range(3000)]
    asked = {combination(question.scene, question.scene.things[0]) for question in questions(300)}
    seen = {combination(scene, thing) for scene in scenes for thing in scene.things}
    assert not any(is_held_out(scene) for scene in scenes)
    assert len(asked) > 20
    assert not asked & seen


@pytest.mark.parametrize(
    "thing",
    [
        {"kind": "dragon"},
        {"kind": "cat", "colour": "red"},
        {"kind": "house"},
        {"kind": "house", "colour": "mauve"},
        {"kind": "house", "colour": "red", "count": 4},
    ],
)
def test_things_that_cannot_be_drawn_are_refused(thing: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"no such thing|cannot be"):
        Thing(**thing)  # type: ignore[arg-type]


def test_a_caption_mentions_only_colours_and_kinds_of_its_scene() -> None:
    rng = random.Random(5)
    for index in range(500):
        scene = scene_at(2, index)
        words = caption(scene, rng).replace(",", " ").split()
        colours = {name for name, ways in COLOUR_WORDS.items() if set(ways) & set(words)}
        assert colours <= {thing.colour for thing in scene.things}


def test_a_full_caption_mentions_time_land_kind_and_colour() -> None:
    rng = random.Random(6)
    for question in questions(60):
        scene, text = question.scene, caption(question.scene, rng, FULL)
        assert any(phrase in text for phrase in TIME_PHRASES[scene.time])
        assert any(phrase in text for phrase in LAND_PHRASES[scene.land])
        for thing in scene.things:
            assert any(name in text for pair in NOUNS[thing.kind] for name in pair)
            assert not thing.colour or any(word in text for word in COLOUR_WORDS[thing.colour])


def test_one_scene_has_many_captions() -> None:
    rng = random.Random(7)
    assert len({caption(scene_at(1, 0), rng) for _ in range(50)}) > 30


def test_the_pixel_rules_read_drawn_scenes_right() -> None:
    verdicts = [judge(question.scene, np.asarray(draw(question.scene))) for question in questions(40, seed=77)]
    marks = [right for verdict in verdicts for right in verdict.values()]
    assert sum(marks) / len(marks) >= 0.99


def test_the_pixel_rules_notice_what_is_wrong() -> None:
    red = Scene(time="day", weather="clear", land="meadow", light=True, things=(Thing(kind="house", colour="red"),))
    asked = Scene(time="night", weather="snow", land="meadow", light=True, things=(Thing(kind="house", colour="blue"),))
    verdict = judge(asked, np.asarray(draw(red)))
    assert verdict["thing"]
    assert not any(verdict[name] for name in ("time", "colour", "snow"))


def test_a_pencil_sketch_has_no_colour_left() -> None:
    sketch = np.asarray(pencil(draw(scene_at(1, 2)))).astype(int)
    assert (sketch.max(axis=-1) - sketch.min(axis=-1)).max() < 20
    assert sketch.std() > 10
