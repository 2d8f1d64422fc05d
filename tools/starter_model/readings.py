"""Simple pixel rules that read a picture's attributes back. They know the palette, and nothing of the model.

Every pixel is named after the nearest colour of the palette; the rules then ask where which names are dense.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tools.starter_model import palette
from tools.starter_model.canvas import SIZE
from tools.starter_model.world import COLOURS, LANDS, WEATHERS, Scene

Pixels = np.ndarray[Any, Any]

SKY = slice(0, 100)
HORIZON_BAND = slice(84, 128)
FOREGROUND = slice(240, 254)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the rules see. `thing` asks for a kind, so it is read with `find_thing`."""

    time: str
    light: bool
    snow: bool


def read(pixels: Pixels) -> Reading:
    """Time of day, whether sun or moon is up, and whether it snows."""
    time = read_time(pixels)
    return Reading(time=time, light=has_light(pixels, time), snow=has_snow(pixels, time))


def read_time(pixels: Pixels) -> str:
    """Night is dark at the top; dusk is redder than blue above the horizon; the rest is day."""
    top = np.median(pixels[0:70].reshape(-1, 3), axis=0)
    low = np.median(pixels[HORIZON_BAND].reshape(-1, 3), axis=0)
    if _luma(top) < 72:
        return "night"
    return "sunset" if low[0] - low[2] > 12 else "day"


def has_light(pixels: Pixels, time: str) -> bool:
    """A solid patch of sun or moon colour in the sky; flakes and stars are too small to fill one."""
    red, green, blue = (pixels[SKY, :, band].astype(int) for band in range(3))
    if time == "day":
        mask = (red > 215) & (green > 160) & (green < 238) & (blue < 150)
    elif time == "sunset":
        mask = (red > 190) & (green < 118) & (blue < 104) & (red - green > 95)
    else:
        mask = (red > 165) & (green > 160) & (blue > 120)
    return bool(_density(mask, 9, 9).max() > 0.8)


def has_snow(pixels: Pixels, time: str) -> bool:
    """The foreground is mostly white, as white looks at that hour."""
    ground = pixels[FOREGROUND].astype(int)
    luma, spread = _luma(ground), ground.max(axis=-1) - ground.min(axis=-1)
    if time == "night":
        mask = luma > 112
    elif time == "sunset":
        mask = (luma > 160) & (spread < 62)
    else:
        mask = (luma > 205) & (spread < 45)
    return bool(mask.mean() > 0.35)


def find_thing(pixels: Pixels, kind: str, time: str) -> str:
    """The colour of the most convincing house or boat; an empty string when there is none.

    A house is a painted box under a dark roof, a boat is painted cloth over a brown hull.
    """
    names = _names(pixels, time)
    support = names == ("roof" if kind == "house" else "hull")
    best, found = 0.0, ""
    for colour in COLOURS:
        paint = (names == colour).astype(np.float64)
        if colour == "white":
            paint += (names == "snow") * (1.0 if kind == "house" else 0.4)
        if kind == "house":
            score = _stacked(support, paint, 14, 30, 28, 40)
        else:
            score = _stacked(paint, support, 28, 28, 10, 34)
        if score > best:
            best, found = score, colour
    return found if best > 0.22 else ""


def _stacked(above: Pixels, below: Pixels, high: int, wide: int, low_high: int, low_wide: int) -> float:
    """How well one name fills a box and another the box underneath, at the best place below the sky."""
    upper, lower = _density(above, high, wide), _density(below, low_high, low_wide)
    first, last = high + 2, SIZE - low_high - 2
    left = max(wide, low_wide) // 2
    columns = np.arange(left, SIZE - left)
    rows = np.arange(max(first, 84), last)
    on_top = upper[np.ix_(rows - high - 2, columns - wide // 2)]
    beneath = lower[np.ix_(rows + 2, columns - low_wide // 2)]
    return float((np.minimum(on_top, 0.8) * np.minimum(beneath, 0.6)).max())


def _names(pixels: Pixels, time: str) -> Pixels:
    """The name of the nearest palette colour for each pixel."""
    names, colours = _PALETTES[time]
    flat = pixels.reshape(-1, 3).astype(np.float32)
    distances = (flat**2).sum(1)[:, None] - 2 * flat @ colours.T + (colours**2).sum(1)
    return np.asarray(names[distances.argmin(axis=1)].reshape(SIZE, SIZE))


def _palette_of(time: str) -> tuple[Pixels, Pixels]:
    """Every colour that the world uses at an hour, with its name."""
    scene = Scene(time=time, weather="clear", land="meadow", light=False)
    entries = [(name, palette.on_thing(scene, colour)) for name, colour in palette.PAINTS.items()]
    entries += [("roof", palette.on_thing(scene, palette.ROOF)), ("hull", palette.on_thing(scene, palette.HULL))]
    entries += [("snow", palette.on_land(scene, colour)) for colour in palette.SNOW]
    entries += [("other", palette.on_thing(scene, colour)) for colour in (palette.CREAM, palette.WOOD, (206, 228, 240))]
    for weather in WEATHERS:
        for land in LANDS:
            there = replace(scene, weather=weather, land=land)
            entries += [("snow" if _pale(colour) else "other", colour) for colour in palette.land(there)]
            entries += [("other", colour) for colour in palette.sky(there)]
    names, colours = zip(*dict.fromkeys(entries), strict=True)
    return np.array(names), np.array(colours, dtype=np.float32)


def _pale(colour: palette.Colour) -> bool:
    return max(colour) - min(colour) < 25 and min(colour) > 200


def _density(mask: Pixels, high: int, wide: int) -> Pixels:
    """The share of the mask inside every box of that size, by its top left corner."""
    sums = np.pad(np.asarray(mask, dtype=np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    return np.asarray(boxes / (high * wide))


def _luma(colour: Pixels) -> Pixels:
    return np.asarray(colour @ np.array((0.299, 0.587, 0.114)))


_PALETTES = {time: _palette_of(time) for time in ("day", "sunset", "night")}
