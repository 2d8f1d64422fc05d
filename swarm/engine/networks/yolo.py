"""What a YOLOv8 network's numbers mean: boxes, kinds and masks of what it has found, in the picture's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

OVERLAP = 0.7
"""Two findings of one kind that share more of their area than this are one."""
MOST = 300
_GRAY = 114 / 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """`box`: left, top, right, bottom in pixels. `mask`: (1, 1, H, W), 0 or 1. `kind`: number of the class."""

    box: tuple[float, float, float, float]
    mask: Tensor
    kind: int
    name: str
    sure: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How a picture of `width` × `height` lies in the square of `side` that the network sees."""

    side: int
    width: int
    height: int

    @property
    def scale(self) -> float:
        return self.side / max(self.width, self.height)

    @property
    def inner(self) -> tuple[int, int]:
        """(width, height) of the picture within the square."""
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))

    @property
    def before(self) -> tuple[int, int]:
        """What is gray at the left and at the top."""
        wide, high = self.inner
        return (self.side - wide) // 2, (self.side - high) // 2

    def shown(self, image: Tensor) -> Tensor:
        """An image (1, 3, H, W) as the network sees it."""
        (wide, high), (left, top) = self.inner, self.before
        small = interpolate(image, size=(high, wide), mode="bilinear", antialias=True)
        return pad(small, (left, self.side - wide - left, top, self.side - high - top), value=_GRAY)


def findings(
    found: Tensor, shapes: Tensor | None, fitted: Fitted, confidence: float, names: dict[int, str]
) -> list[Finding]:
    """The surest first. `found`: (4 + kinds + 32, n), boxes as centre and size. `shapes`: (32, h, w)."""
    parts = 0 if shapes is None else shapes.shape[0]
    sure, kinds = found[4 : found.shape[0] - parts].max(dim=0)
    chosen = (sure >= confidence).nonzero()[:, 0]
    chosen = chosen[sure[chosen].argsort(descending=True)][: MOST * 4]
    x, y, width, height = found[:4, chosen]
    boxes = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=1)
    kept = _apart(boxes, kinds[chosen])
    made = []
    for place in kept[:MOST]:
        number, box = int(chosen[place]), boxes[place]
        own = _in_picture(box, fitted)
        mask = _box_mask(own, fitted)
        if shapes is not None:
            mask = mask * _shape_mask(found[found.shape[0] - parts :, number], shapes, fitted)
        kind = int(kinds[number])
        made.append(Finding(box=own, mask=mask, kind=kind, name=names.get(kind, str(kind)), sure=float(sure[number])))
    return made


def _apart(boxes: Tensor, kinds: Tensor) -> list[int]:
    """Which findings to keep, the surest being first: none that another of its kind covers."""
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for place in range(len(boxes)):
        rivals = [other for other in kept if kinds[other] == kinds[place]]
        if rivals:
            low = torch.maximum(boxes[place, :2], boxes[rivals, :2])
            high = torch.minimum(boxes[place, 2:], boxes[rivals, 2:])
            shared = (high - low).clamp(min=0).prod(dim=1)
            if float((shared / (areas[place] + areas[rivals] - shared).clamp(min=1e-6)).max()) > OVERLAP:
                continue
        kept.append(place)
    return kept


def _in_picture(box: Tensor, fitted: Fitted) -> tuple[float, float, float, float]:
    left, top = fitted.before
    sides = fitted.width, fitted.height, fitted.width, fitted.height
    moved = zip(box.tolist(), (left, top, left, top), sides, strict=True)
    a, b, c, d = (min(max(0.0, (place - gray) / fitted.scale), float(side)) for place, gray, side in moved)
    return a, b, c, d


def _box_mask(box: tuple[float, float, float, float], fitted: Fitted) -> Tensor:
    left, top, right, bottom = (int(side) for side in box)
    mask = torch.zeros(1, 1, fitted.height, fitted.width)
    mask[..., top:bottom, left:right] = 1.0
    return mask


def _shape_mask(shares: Tensor, shapes: Tensor, fitted: Fitted) -> Tensor:
    whole = torch.einsum("c,chw->hw", shares, shapes)[None, None]
    whole = interpolate(whole, size=(fitted.side, fitted.side), mode="bilinear")
    (wide, high), (left, top) = fitted.inner, fitted.before
    own = whole[..., top : top + high, left : left + wide]
    return (interpolate(own, size=(fitted.height, fitted.width), mode="bilinear") > 0).float()
