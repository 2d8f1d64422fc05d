"""Where in a picture is what a segment names: by words or by a detector, as one mask (swarm-t2i 9.13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm.base.errors import BadInput
from swarm.jobs.acts import WorkTools
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files
from swarm.prompt.matchers import Matcher, TextMatch, YoloMatch
from swarm.prompt.sections import Segment

WORDS = "words"
"""Where the job carries CLIPSeg (`Job.files`), and the kind of network it is."""
DETECTOR = "detector"
_WORDS_FILES = (
    "clipseg/clipseg-rd64-refined.safetensors",
    "clipseg/clipseg-rd64-refined/model.safetensors",
    "clipseg/clipseg-rd64-refined-fp16-safetensors/model.safetensors",
    "clipseg/model.safetensors",
)
_DETECTOR_FOLDER = "yolov8"
_SURE = 0.25
"""The confidence asked of a detector when the prompt says 1, which no finding reaches."""


def files_for(matcher: Matcher, files: Files) -> Mapping[str, ModelFile]:
    """What looking for it takes. Raises BadInput naming what is missing and its place."""
    if isinstance(matcher, TextMatch):
        found = next((file for each in _WORDS_FILES if (file := files.beside(each)) is not None), None)
        if found is None:
            raise BadInput(
                f"Finding '{matcher.text}' takes CLIPSeg, which is not there. Put 'clipseg-rd64-refined.safetensors' "
                "(the model.safetensors of CIDAS/clipseg-rd64-refined) into the folder 'clipseg' of the models folder."
            )
        return {WORDS: found}
    return {detector_key(matcher): _detector_file(matcher.model, files)}


def detector_key(matcher: YoloMatch) -> str:
    """Where the job carries a detector's file."""
    return f"{DETECTOR}:{matcher.model}"


def _detector_file(name: str, files: Files) -> ModelFile:
    stem = name.rpartition(".")[0] if name.lower().endswith((".pt", ".onnx")) else name
    inside = ".." not in stem.replace("\\", "/").split("/")
    found = files.beside(f"{_DETECTOR_FOLDER}/{stem}.onnx") if inside else None
    if found is not None:
        return found
    if inside and files.beside(f"{_DETECTOR_FOLDER}/{stem}.pt") is not None:
        raise BadInput(
            f"The detector '{stem}.pt' is a pickled file, which can run any code when it is opened. Export it to ONNX "
            f"(yolo export model={stem}.pt format=onnx) and put '{stem}.onnx' beside it."
        )
    raise BadInput(
        f"The detector '{name}' is not there. Put '{stem}.onnx' into the folder '{_DETECTOR_FOLDER}' of the models "
        "folder."
    )


def found_area(tools: WorkTools, image: Any, segment: Segment, files: Mapping[str, ModelFile], sort_order: str) -> Any:
    """The mask (1, 1, H, W) of everything a segment names in an image (1, 3, H, W), its parts added up."""
    import torch

    total = torch.zeros(1, 1, *image.shape[-2:])
    for matcher in segment.matchers:
        if isinstance(matcher, TextMatch):
            total = total + by_words(tools.network(WORDS, files[WORDS])(image, matcher.text), segment, image)
        else:
            total = total + _by_detector(tools, image, matcher, segment, files, sort_order)
    return total.clamp(0, 1)


def by_words(seen: Any, segment: Segment, image: Any) -> Any:
    """A map of certainties as a mask of the image's size: what is unsure is nothing, the surest place is all."""
    from torch.nn.functional import interpolate

    sure = seen * (seen > abs(segment.threshold))
    sure = sure - sure.amin()
    most = float(sure.amax())
    return interpolate(sure / most if most > 0 else sure, size=tuple(image.shape[-2:]), mode="bilinear")


def _by_detector(
    tools: WorkTools,
    image: Any,
    matcher: YoloMatch,
    segment: Segment,
    files: Mapping[str, ModelFile],
    sort_order: str,
) -> Any:
    import torch

    confidence = abs(segment.threshold)
    detector = tools.network(DETECTOR, files[detector_key(matcher)])
    findings = detector(image, _SURE if confidence >= 1 else confidence)
    wanted = {name.lower() for name in matcher.classes}
    if wanted:
        findings = [one for one in findings if str(one.kind) in wanted or one.name.lower() in wanted]
    if matcher.index is not None:
        ordered = sorted(findings, key=lambda one: _rank(one.mask, sort_order))
        findings = ordered[matcher.index - 1 : matcher.index]
    empty = torch.zeros(1, 1, *image.shape[-2:])
    return sum((one.mask for one in findings), empty).clamp(0, 1)


def _rank(mask: Any, order: str) -> float:
    """What findings are sorted by: an edge of the mask (1, 1, H, W), or how much it marks."""
    marked = (mask[0, 0] > 0).nonzero()
    if len(marked) == 0:
        return 0.0
    (top, left), (bottom, right) = marked.amin(dim=0).tolist(), marked.amax(dim=0).tolist()
    area = float(mask.sum())
    ranks = {
        "left-right": left,
        "right-left": -right,
        "top-bottom": top,
        "bottom-top": -bottom,
        "largest-smallest": -area,
        "smallest-largest": area,
    }
    return float(ranks[order])
