"""Qwen-Image's prompts: the last states of Qwen 2.5 VL, which the edit models show the pictures that come with one."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, sqrt
from typing import Any

import numpy as np
import torch
from PIL import Image

from swarm.base.errors import BadInput
from swarm.engine.components import TextOptions
from swarm.engine.words.qwen_eyes import QwenEyes, Seen, places
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_language import LanguageEncoder, Template, plain
from swarm.engine.words.text_layers import layer_states
from swarm.engine.words.tokenizer import QWEN_FIRST_MARK, QWEN_MARKS
from swarm.jobs.stage import Conditioning
from swarm.media.image import Picture
from swarm.media.stretched import opened

_PAD = "<|image_pad|>"
_PAD_TOKEN = QWEN_FIRST_MARK + QWEN_MARKS.index(_PAD)
_AROUND = "<|vision_start|>{}<|vision_end|>"
ONE, OF_SEVERAL = 1024 * 1024, 384 * 384
"""Pixels that pictures are seen with."""
_NEAR = 64
"""Single pictures whose size differs by no more pixels than this from what they are seen with are scaled but once."""
TEMPLATE = Template(
    before="<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
    "spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n",
    after="<|im_end|>\n<|im_start|>assistant\n",
    opening=34,
    longest=3072,
)
EDIT_TEMPLATE = Template(
    before="<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. Generate a new image "
    "that meets the user's requirements while maintaining consistency with the original input where appropriate."
    "<|im_end|>\n<|im_start|>user\n",
    after="<|im_end|>\n<|im_start|>assistant\n",
    opening=64,
    longest=3840,
)


class SeeingEncoder(LanguageEncoder):
    """The language model with pictures among its words."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        super().__init__(model, tokenizer, device, EDIT_TEMPLATE)

    def encode_seen(self, text: str, shown: str, seen: Sequence[Seen], layer: int | None = None) -> torch.Tensor:
        """A prompt behind its pictures as (1, length, width). `shown`: the marks that stand for their states. `layer`:
        the one the request wants. Raises BadInput for more than the model has places for."""
        ids = torch.tensor([self.tokens(shown + plain(text))], device=self.device)
        pictured = ids == _PAD_TOKEN
        states = torch.cat([each.states for each in seen])
        if int(pictured.sum()) != len(states):
            raise BadInput(f"{len(seen)} pictures are more than this model can look at. Give fewer.")
        words = self.model.embed_tokens(ids)
        words[pictured] = states.to(words)
        found = layer_states(
            self.model,
            layer,
            inputs_embeds=words,
            attention_mask=torch.ones_like(ids),
            position_ids=places(pictured[0].tolist(), seen).to(self.device),
        )
        return found[:, EDIT_TEMPLATE.opening :]


class QwenText(Remembering):
    """The last states for the prompt and what follows it in the template."""

    def __init__(self, language: LanguageEncoder) -> None:
        super().__init__()
        self._language = language

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        return Conditioning(tokens=self._language.encode(text, options.stop_at_layer))


class QwenEditText(QwenText):
    """With pictures: they stand before the prompt, numbered where the model takes `several`. One that takes a single
    picture is not shown it with the negative prompt."""

    sees = True

    def __init__(self, blind: LanguageEncoder, seeing: SeeingEncoder, eyes: QwenEyes | None, *, several: bool) -> None:
        super().__init__(blind)
        self._seeing = seeing
        self._eyes = eyes
        self._several = several

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        """Raises BadInput when the text encoder came without its eyes, or for more pictures than it can take."""
        if not options.pictures or (options.is_negative and not self._several):
            return super().encoded(text, options)
        if self._eyes is None:
            raise BadInput(
                "This Qwen text encoder cannot see pictures, because its file holds only the language half. Use the "
                "safetensors file of the whole model."
            )
        area = OF_SEVERAL if self._several else ONE
        seen = self._eyes.look([sized(picture, area, _NEAR * (not self._several)) for picture in options.pictures])
        states = self._seeing.encode_seen(text, self._shown(seen), seen, options.stop_at_layer)
        return Conditioning(tokens=states)

    def _shown(self, seen: Sequence[Seen]) -> str:
        """The marks that stand for the pictures, one for each state."""
        marks = [_AROUND.format(_PAD * (each.rows * each.columns)) for each in seen]
        if not self._several and len(marks) == 1:
            return marks[0]
        return "".join(f"Picture {number}: {mark}" for number, mark in enumerate(marks, 1))


def sized(picture: Picture, area: int, near: int) -> torch.Tensor:
    """A picture (3, h, w), 0 to 1, with about `area` pixels in its own shape. Scaled twice, as in SwarmUI's workflows,
    the first time only where its size differs by more than `near` pixels; the second time hardly changes it then."""
    image = opened(picture)
    if not near or abs(isqrt(image.width * image.height) - isqrt(area)) > near:
        image = image.resize(_fitted(image.width, image.height, area), Image.Resampling.LANCZOS)
    width, height = _fitted(image.width, image.height, area)
    levels = torch.from_numpy(np.array(image, dtype=np.float32) / 255.0).permute(2, 0, 1)
    return torch.nn.functional.interpolate(levels[None], size=(height, width), mode="area")[0]


def _fitted(width: int, height: int, area: int) -> tuple[int, int]:
    factor = sqrt(area / (width * height))
    return max(1, round(width * factor)), max(1, round(height * factor))
