"""Putting a scene into words, in many ways. A caption says only what is true of the scene, and rarely all of it."""

import random
from dataclasses import dataclass

from tools.starter_model.world import Scene, Thing

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "house": (("house", "houses"), ("house", "houses"), ("cottage", "cottages"), ("little house", "little houses"),
              ("hut", "huts"), ("home", "homes"), ("cabin", "cabins")),
    "boat": (("boat", "boats"), ("sailing boat", "sailing boats"), ("sailboat", "sailboats"), ("ship", "ships"),
             ("yacht", "yachts")),
    "balloon": (("hot-air balloon", "hot-air balloons"), ("hot air balloon", "hot air balloons"),
                ("balloon", "balloons")),
    "car": (("car", "cars"), ("little car", "little cars"), ("automobile", "automobiles")),
    "lighthouse": (("lighthouse", "lighthouses"),),
    "windmill": (("windmill", "windmills"), ("mill", "mills")),
    "pine": (("pine", "pines"), ("pine tree", "pine trees"), ("fir", "firs"), ("fir tree", "fir trees")),
    "tree": (("tree", "trees"), ("round tree", "round trees"), ("oak", "oaks"), ("leafy tree", "leafy trees")),
    "palm": (("palm", "palms"), ("palm tree", "palm trees")),
    "cat": (("cat", "cats"), ("black cat", "black cats"), ("kitten", "kittens")),
    "dog": (("dog", "dogs"), ("brown dog", "brown dogs"), ("puppy", "puppies")),
}  # fmt: skip
"""Singular and plural of what each kind may be called."""

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "yellow", "yellow", "golden"),
    "green": ("green", "green", "green", "emerald"),
    "blue": ("blue",),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "pink", "rose"),
    "white": ("white",),
}

TIME_PHRASES = {
    "day": ("by day", "in daylight", "during the day", "on a bright day", "in the daytime", "at noon", "day"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening", "as the sun goes down", "sunset"),
    "night": ("at night", "at night", "by night", "in the night", "after dark", "at midnight", "night"),
}
LAND_PHRASES = {
    "meadow": ("on a meadow", "in a meadow", "in a grassy field", "on the grass", "in a field", "meadow"),
    "hills": ("in the hills", "on rolling hills", "among the hills", "in a hilly land", "hills"),
    "desert": ("in the desert", "in a desert", "among sand dunes", "on the dunes", "desert"),
    "mountains": (
        "in the mountains", "below snowy mountains", "in front of mountains", "under snowy peaks", "mountains",
    ),
    "sea": ("on the sea", "at sea", "in the ocean", "on the waves", "on the water", "sea"),
    "beach": ("on the beach", "on a sandy beach", "at the seaside", "by the sea", "on the shore", "beach"),
}  # fmt: skip
WEATHER_PHRASES = {
    "clear": ("under a clear sky", "clear sky", "a cloudless sky", "fair weather"),
    "clouds": ("with clouds", "under a cloudy sky", "clouds in the sky", "fluffy clouds", "cloudy"),
    "rain": ("in the rain", "while it rains", "rainy weather", "rain", "on a rainy day"),
    "snow": ("in the snow", "while it snows", "snow is falling", "snow", "in winter", "covered in snow"),
}
SUN_PHRASES = ("with the sun in the sky", "under the sun", "the sun is shining", "sun", "a bright sun", "sunny")
MOON_PHRASES = {
    "full": ("under a full moon", "under the moon", "a full moon", "moon", "with a full moon", "in the moonlight"),
    "crescent": ("under a crescent moon", "under the moon", "a crescent moon", "moon", "with a crescent moon"),
}
STAR_PHRASES = ("under the stars", "with stars", "starry sky", "stars", "a starry night")
PLACE_PHRASES = {
    "left": ("on the left", "on the left side", "at left"),
    "middle": ("in the middle", "in the centre", "in the center"),
    "right": ("on the right", "on the right side", "at right"),
}
NUMBERS = {2: ("two", "two", "two", "2", "a pair of"), 3: ("three", "three", "three", "3")}

_OPENINGS = (
    "a postcard of", "a picture of", "an illustration of", "a flat illustration of", "a drawing of", "postcard:",
    "a simple picture of", "a painting of", "an image of",
)  # fmt: skip
_FLOURISHES = (
    "flat illustration", "postcard", "beautiful", "masterpiece", "best quality", "vector art", "highly detailed",
    "minimalist", "colourful", "peaceful", "cute", "4k", "digital art", "calm scene",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Candour:
    """How likely each kind of fact is to be mentioned at all."""

    time: float = 0.84
    weather: float = 0.88
    fair: float = 0.3
    light: float = 0.8
    stars: float = 0.4
    land: float = 0.85
    thing: float = 0.95
    colour: float = 0.92
    place: float = 0.5
    extras: float = 0.85


FULL = Candour(time=1, weather=1, fair=0.7, light=1, stars=0.5, land=1, thing=1, colour=1, place=0.5, extras=1)
"""Mentions everything that the evaluation reads back."""


def caption(scene: Scene, rng: random.Random, candour: Candour | None = None) -> str:
    """One way of putting the scene into words."""
    told = candour or Candour()
    subjects = [_subject(thing, rng, told) for thing in scene.things if rng.random() < told.thing]
    settings = _settings(scene, rng, told)
    if not subjects and not settings:
        return rng.choice(LAND_PHRASES[scene.land])
    return _tag_list(subjects, settings, rng) if rng.random() < 0.3 else _sentence(subjects, settings, rng)


def _subject(thing: Thing, rng: random.Random, told: Candour) -> str:
    singular, plural = rng.choice(NOUNS[thing.kind])
    colour = rng.choice(COLOUR_WORDS[thing.colour]) + " " if thing.colour and rng.random() < told.colour else ""
    if thing.count == 1:
        name = f"{_article(colour + singular)} {colour}{singular}"
    else:
        name = f"{rng.choice(NUMBERS[thing.count])} {colour}{plural}"
    if thing.count < 3 and rng.random() < told.place:
        return f"{name} {rng.choice(PLACE_PHRASES[thing.place])}"
    return name


def _settings(scene: Scene, rng: random.Random, told: Candour) -> list[str]:
    facts = [
        (told.land, LAND_PHRASES[scene.land]),
        (told.time, TIME_PHRASES[scene.time]),
        (told.fair if scene.weather == "clear" else told.weather, WEATHER_PHRASES[scene.weather]),
    ]
    if scene.light:
        facts.append((told.light, SUN_PHRASES if scene.light_name == "sun" else MOON_PHRASES[scene.moon]))
    if scene.stars:
        facts.append((told.stars, STAR_PHRASES))
    if scene.smoke:
        facts.append((told.extras, ("with a smoking chimney", "smoke from the chimney", "chimney smoke")))
    if scene.fence:
        facts.append((told.extras, ("behind a fence", "with a fence", "a wooden fence", "fence")))
    if scene.flowers:
        facts.append((told.extras, ("with flowers", "flowers in the grass", "flowers", "among flowers")))
    chosen = [rng.choice(phrases) for chance, phrases in facts if rng.random() < chance]
    if rng.random() < 0.6:
        rng.shuffle(chosen)
    return chosen


def _sentence(subjects: list[str], settings: list[str], rng: random.Random) -> str:
    joined = rng.choice((" and ", " and ", " with ", ", ", " next to ")).join(subjects)
    opening = f"{rng.choice(_OPENINGS)} " if rng.random() < 0.2 else ""
    glue = rng.choice((" ", ", ", ", "))
    before = rng.random() < 0.15 and bool(settings)
    ordered = [settings[0], joined, *settings[1:]] if before else [joined, *settings]
    return _flourished(opening + glue.join(part for part in ordered if part), rng)


def _tag_list(subjects: list[str], settings: list[str], rng: random.Random) -> str:
    tags = [tag.removeprefix("a ").removeprefix("an ") if rng.random() < 0.7 else tag for tag in subjects] + settings
    rng.shuffle(tags)
    return _flourished(", ".join(tags), rng)


def _flourished(text: str, rng: random.Random) -> str:
    if rng.random() < 0.12:
        return f"{text}, {', '.join(rng.sample(_FLOURISHES, rng.randint(1, 3)))}"
    return text


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"
