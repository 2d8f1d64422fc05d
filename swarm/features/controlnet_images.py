"""What a ControlNet is shown: outlines and scribbles drawn from a picture by plain arithmetic (swarm-t2i 9.9).

Depth needs a network, whose folder lies below `annotators`.
"""

from __future__ import annotations

from typing import Any

from swarm.base.errors import BadInput

CANNY, SCRIBBLE, DEPTH = "CannyEdgePreprocessor", "ScribblePreprocessor", "DepthAnythingPreprocessor"
PREPROCESSORS = (CANNY, DEPTH, SCRIBBLE)
DEPTH_FOLDERS = (
    "annotators/Depth-Anything-V2-Small-hf",
    "annotators/depth-anything-small-hf",
    "annotators/dpt-hybrid-midas",
)
"""Folders of depth models of the transformers library, the first that is there is used."""
_LOW, _HIGH = 100 / 255, 200 / 255
"""Slopes, of pictures from 0 to 1, from which a line may go on, and from which one is begun."""
_GRAY = (0.299, 0.587, 0.114)
_MULTIPLE = 8


def shown(image: Any, preprocessor: str) -> Any:
    """A picture (1, 3, H, W), 0 to 1, as the preprocessor draws it, its sides cut down to multiples of 8."""
    height, width = (max(_MULTIPLE, side // _MULTIPLE * _MULTIPLE) for side in image.shape[-2:])
    drawn = canny(image) if preprocessor == CANNY else scribble(image)
    return _sized(drawn, height, width).expand(1, 3, -1, -1)


def canny(image: Any, low: float = _LOW, high: float = _HIGH) -> Any:
    """The outlines in a picture (1, 3, H, W), 0 to 1, one pixel wide: (1, 1, H, W) of 0 and 1 (Canny 1986).

    Slopes by Sobel's filters, added up as |x| + |y|; of each slope only its crest is kept; what is steeper than `high`
    is a line, and so is what is steeper than `low` and hangs together with one.
    """
    import torch
    from torch.nn.functional import max_pool2d

    across, down = _slopes(_gray(image))
    steepness = across.abs() + down.abs()
    crests = steepness * _is_crest(steepness, across, down)
    lines, candidates = (crests > high).float(), (crests > low).float()
    while True:
        grown = max_pool2d(lines, 3, 1, 1) * candidates
        if torch.equal(grown, lines):
            return lines
        lines = grown


def scribble(image: Any) -> Any:
    """A picture's coarse outlines as thick strokes: (1, 1, H, W) of 0 and 1. Made from the difference of two blurs."""
    gray = _gray(image)
    difference = (_blurred(gray, 2.0) - _blurred(gray, 0.5)).clamp(0, 1) * 255.0
    return (difference > 9.0).float()


def depth(image: Any, folder: Any) -> Any:
    """How near everything in a picture (1, 3, H, W) is, from 0 to 1: (1, 3, H, W). `folder`: the model's."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    try:
        processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        model = AutoModelForDepthEstimation.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"The depth model in '{folder.name}' cannot be loaded: {str(error).splitlines()[0]}") from None
    pixels = (image[0].permute(1, 2, 0).cpu().numpy() * 255.0).round().astype("uint8")
    with torch.inference_mode():
        found = model(**processor(images=pixels, return_tensors="pt")).predicted_depth[:, None].float()
    found = _sized(found, *image.shape[-2:])
    low, high = found.min(), found.max()
    return ((found - low) / (high - low).clamp(min=1e-12)).expand(1, 3, -1, -1)


def _sized(image: Any, height: int, width: int) -> Any:
    from torch.nn.functional import interpolate

    return image if tuple(image.shape[-2:]) == (height, width) else interpolate(image, (height, width), mode="bilinear")


def _gray(image: Any) -> Any:
    import torch

    # In whole levels, as pictures are stored.
    weights = torch.tensor(_GRAY, dtype=image.dtype, device=image.device)[:, None, None]
    return (image[:, :3] * weights).sum(dim=1, keepdim=True).mul(255.0).round().div(255.0)


def _slopes(gray: Any) -> tuple[Any, Any]:
    import torch
    from torch.nn.functional import conv2d, pad

    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=gray.dtype, device=gray.device)
    kernels = torch.stack([across, across.T])[:, None]
    both = conv2d(pad(gray, (1, 1, 1, 1), mode="replicate"), kernels)
    return both[:, :1], both[:, 1:]


def _is_crest(steepness: Any, across: Any, down: Any) -> Any:
    """1 where neither neighbour along the slope is steeper; slopes are sorted into four directions."""
    from torch.nn.functional import pad

    height, width = steepness.shape[-2:]
    around = pad(steepness, (1, 1, 1, 1))

    def beside(dy: int, dx: int) -> Any:
        return around[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    flat = down.abs() < across.abs() * 0.41421356
    steep = down.abs() > across.abs() * 2.41421356
    same = (across * down >= 0) & ~flat & ~steep
    other = (across * down < 0) & ~flat & ~steep
    best = (
        flat & (steepness > beside(0, -1)) & (steepness >= beside(0, 1))
        | steep & (steepness > beside(-1, 0)) & (steepness >= beside(1, 0))
        | same & (steepness > beside(-1, -1)) & (steepness > beside(1, 1))
        | other & (steepness > beside(-1, 1)) & (steepness > beside(1, -1))
    )
    return best.to(steepness)


def _blurred(gray: Any, sigma: float) -> Any:
    import torch
    from torch.nn.functional import conv2d, pad

    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, dtype=gray.dtype, device=gray.device)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    padded = pad(gray, (reach,) * 4, mode="replicate")
    return conv2d(conv2d(padded, weights[None, None, None, :]), weights[None, None, :, None])
