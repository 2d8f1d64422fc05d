"""A detector as an ONNX file, run by onnxruntime itself.

The file answers every picture with three findings in a square of 32 pixels: a face, a hand, and the face once more,
less sure and nearly at the same place. It was made of a constant, so that it is a few hundred bytes.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import torch

from swarm.base.errors import BadInput
from swarm.engine.device import choose_device
from swarm.engine.networks.detector import load
from swarm.jobs.job import ModelFile

pytestmark = pytest.mark.torch
THREE_FINDINGS = (
    "CAg6mAIKKwoGaW1hZ2VzEgRtZWFuIgpSZWR1Y2VNZWFuKg8KCGtlZXBkaW1zGACgAQIKGgoEbWVhbgoEemVybxIHbm90aGluZyID"
    "TXVsCh4KBWZvdW5kCgdub3RoaW5nEgdvdXRwdXQwIgNBZGQSAWcqWQgBCAYIAxABQgVmb3VuZEpIAAAAQQAAwEEAAAhBAAAAQQAA"
    "wEEAAABBAAAAQQAAAEEAAABBAAAAQQAAgEAAAABBZmZmP83MTD4zMzM/zczMPc3MTD/NzMw9Kg4QAUIEemVyb0oEAAAAAFogCgZp"
    "bWFnZXMSFgoUCAESEAoCCAEKAggDCgIIIAoCCCBiHQoHb3V0cHV0MBISChAIARIMCgIIAQoCCAYKAggDQgQKABARch8KBW5hbWVz"
    "EhZ7MDogJ2ZhY2UnLCAxOiAnaGFuZCd9"
)


def file(path: Path, content: bytes) -> ModelFile:
    path.write_bytes(content)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def test_a_detector_finds_each_thing_once_in_the_pictures_own_pixels(tmp_path: Path) -> None:
    detector = load(file(tmp_path / "three.onnx", base64.b64decode(THREE_FINDINGS)), choose_device(0, "auto"))
    face, hand = detector(torch.rand(1, 3, 64, 96), 0.5)
    assert (face.name, hand.name) == ("face", "hand")
    assert face.sure == pytest.approx(0.9)
    # The picture lies in the square at a third of its size, five gray rows above it.
    assert face.box == pytest.approx((12, 0, 36, 21))
    assert hand.box == pytest.approx((60, 51, 84, 63))
    assert face.mask.sum() == 24 * 21
    assert [found.name for found in detector(torch.rand(1, 3, 64, 96), 0.85)] == ["face"]


def test_what_is_no_onnx_file_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'odd\.onnx' cannot be read as an ONNX model"):
        load(file(tmp_path / "odd.onnx", b"nothing"), choose_device(0, "auto"))
