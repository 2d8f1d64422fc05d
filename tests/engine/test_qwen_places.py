"""The places of Qwen-Image's tokens: the library's own for one picture with even sides, ComfyUI's for all others."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.transformers.transformer_qwenimage import QwenEmbedRope

from swarm.engine.qwen_places import QwenPlaces

pytestmark = pytest.mark.torch
AXES = (8, 12, 12)


def test_a_picture_with_even_sides_lies_where_the_library_has_it() -> None:
    own = QwenEmbedRope(theta=10_000, axes_dim=list(AXES), scale_rope=True)
    grids = [[(1, 6, 4)]]
    device = torch.device("cpu")
    for ours, theirs in zip(
        QwenPlaces(AXES)(grids, max_txt_seq_len=9), own(grids, device=device, max_txt_seq_len=9), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_an_odd_side_has_a_middle_and_words_follow_the_picture_that_is_drawn() -> None:
    pictures, words = QwenPlaces(AXES)([[(1, 5, 3), (1, 8, 9)]], max_txt_seq_len=2)
    assert pictures.shape == (5 * 3 + 8 * 9, 16)
    slowest = 4, 4 + 6
    rows, columns = (pictures[:, column].angle().round(decimals=4) for column in slowest)
    assert rows[:15].reshape(5, 3)[:, 0].tolist() == [-2, -1, 0, 1, 2]
    assert columns[:15].reshape(5, 3)[0].tolist() == [-1, 0, 1]
    assert pictures[15:, 0].angle().round(decimals=4).unique().tolist() == [1]
    assert words[:, 0].angle().round(decimals=4).tolist() == [2, 3]
