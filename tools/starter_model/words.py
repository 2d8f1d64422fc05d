"""From captions to token numbers. Training knows only the few hundred tokens that captions use.

The other fifty thousand rows of the shipped vocabulary share one learnt "unknown word", so that a prompt full of
strange words still draws a picture.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from swarm.engine.words.tokenizer import clip_tokenizer
from tools.starter_model.architecture import TOKENS, VOCABULARY
from tools.starter_model.captions import caption
from tools.starter_model.dataset import scene_at

SAMPLES = 30_000
UNKNOWN = 0


class Words:
    """The tokens of the training captions, numbered anew: unknown first, the start and end marks last."""

    def __init__(self, used: Sequence[int]) -> None:
        """`used` are CLIP's own numbers for the tokens, the two marks included."""
        self.used = sorted(used)
        self._tokenizer = clip_tokenizer()
        self._renumbered = torch.zeros(VOCABULARY, dtype=torch.long)
        self._renumbered[torch.tensor(self.used)] = torch.arange(1, len(self.used) + 1)

    def __len__(self) -> int:
        """How many rows the training vocabulary has."""
        return len(self.used) + 1

    @classmethod
    def of_captions(cls, path: Path, seed: int) -> "Words":
        """The tokens that turn up in many captions of the seed; kept in a file, so that they never change."""
        if not path.exists():
            rng = random.Random(f"words/{seed}")
            texts = [caption(scene_at(seed, index), rng) for index in range(SAMPLES)]
            used = {number for ids in clip_tokenizer()(texts).input_ids for number in ids}
            path.write_text(" ".join(map(str, sorted(used))))
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> "Words":
        """The tokens listed in a file."""
        return cls([int(number) for number in path.read_text().split()])

    def numbers(self, texts: Sequence[str]) -> Tensor:
        """Rows of 77 renumbered tokens."""
        encoded = self._tokenizer(list(texts), padding="max_length", truncation=True, max_length=TOKENS)
        return self._renumbered[torch.tensor(encoded.input_ids)]

    def full_table(self, trained: Tensor) -> Tensor:
        """The embedding table for all of CLIP's tokens, from the trained rows."""
        table = trained[UNKNOWN].expand(VOCABULARY, -1).clone()
        table[torch.tensor(self.used)] = trained[1:]
        return table


def with_strangers(numbers: Tensor, rng: random.Random) -> Tensor:
    """Now and then a word the model does not know, so that it learns to shrug."""
    for row in numbers:
        length = int((row != row[-1]).sum())
        for _ in range(rng.randint(1, 4) if rng.random() < 0.06 else 0):
            spot = rng.randint(1, length)
            row[spot + 1 :] = row[spot:-1].clone()
            row[spot] = UNKNOWN
    return numbers
