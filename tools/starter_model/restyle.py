"""The second look of the world: the same scenes as pencil sketches. The small LoRA learns it."""

import numpy as np
from PIL import Image, ImageChops, ImageFilter

PAPER = np.array((246, 242, 232), dtype=np.float32)
GRAPHITE = np.array((58, 58, 66), dtype=np.float32)


def pencil(picture: Image.Image) -> Image.Image:
    """Broad graphite outlines and light shading on cream paper."""
    outlines = np.maximum.reduce([_contrast(band) for band in picture.split()])
    grey = np.asarray(picture.convert("L"), dtype=np.float32) / 255
    shading = np.clip((0.75 - grey) * 0.55, 0, 0.4)
    strength = np.clip(shading + np.clip((outlines - 14) / 46, 0, 1) * 0.85, 0, 0.95)[..., None]
    return Image.fromarray((PAPER + (GRAPHITE - PAPER) * strength).round().astype(np.uint8))


def _contrast(band: Image.Image) -> np.ndarray:
    edge = ImageChops.subtract(band.filter(ImageFilter.MaxFilter(3)), band.filter(ImageFilter.MinFilter(3)))
    return np.asarray(edge, dtype=np.float32)
