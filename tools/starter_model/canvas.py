"""A surface measured in picture units (0–256), drawn three times as large and reduced, so every edge is smooth."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tools.starter_model.palette import Colour

SIZE = 256
SCALE = 3

Point = tuple[float, float]


class Canvas:
    """Flat shapes over a vertical gradient. Colours arrive ready to use: nothing here knows day from night."""

    def __init__(self, top: Colour, middle: Colour, low: Colour, horizon: float) -> None:
        """Fill the whole surface with a gradient that reaches `low` at `horizon`."""
        heights = np.arange(SIZE * SCALE) / SCALE
        stops = (0.0, horizon * 0.55, horizon)
        rows = np.stack([np.interp(heights, stops, part) for part in zip(top, middle, low, strict=True)], axis=-1)
        pixels = np.repeat(rows[:, None, :], SIZE * SCALE, axis=1).round().astype(np.uint8)
        self._image = Image.fromarray(pixels)
        self._pen = ImageDraw.Draw(self._image)

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled shape."""
        self._pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A filled box."""
        self._pen.rectangle((left * SCALE, top * SCALE, right * SCALE - 1, bottom * SCALE - 1), fill=fill)

    def ellipse(self, x: float, y: float, wide: float, high: float, fill: Colour) -> None:
        """A filled ellipse around (x, y) with the given half axes."""
        box = ((x - wide) * SCALE, (y - high) * SCALE, (x + wide) * SCALE, (y + high) * SCALE)
        self._pen.ellipse(box, fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """A filled circle."""
        self.ellipse(x, y, radius, radius, fill)

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """An open stroke."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._pen.line(scaled, fill=fill, width=round(width * SCALE), joint="curve")

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """A soft halo: `colour` blended in, fading to nothing at `radius`."""
        reach = round(radius * SCALE)
        across, down = round(x * SCALE), round(y * SCALE)
        box = (max(0, across - reach), max(0, down - reach), across + reach, down + reach)
        patch = np.asarray(self._image.crop(box), dtype=np.float32)
        rows, columns = np.ogrid[box[1] : box[3], box[0] : box[2]]
        distance = np.hypot(columns - across, rows - down) / reach
        share = (np.clip(1 - distance, 0, 1) ** 2 * strength)[..., None]
        blended = patch + (np.asarray(colour, dtype=np.float32) - patch) * share
        self._image.paste(Image.fromarray(blended.round().astype(np.uint8)), box[:2])

    def finished(self) -> Image.Image:
        """The picture at its real size."""
        return self._image.reduce(SCALE)
