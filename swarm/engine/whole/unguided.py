"""What a whole pipeline's network says to the negative prompt, overheard: pipelines go on with the guided answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from swarm.base.errors import BadInput

_NETWORKS = ("transformer", "transformer_2", "unet")
_HALF = 0.5
LEAST_GUIDANCE = 1.0 + 1e-6
"""Above 1 pipelines ask the negative prompt too."""


class Overheard:
    """The network's answers since the last step."""

    def __init__(self) -> None:
        self._answers: list[torch.Tensor] = []

    @contextmanager
    def listening(self, pipe: Any) -> Iterator[None]:
        """While it is entered, the answers of the pipeline's networks are kept until the next step."""

        def keep(_network: Any, _given: Any, answer: Any) -> None:
            self._answers.append(answer[0] if isinstance(answer, tuple) else answer.sample)

        networks = [getattr(pipe, name, None) for name in _NETWORKS]
        hooks = [each.register_forward_hook(keep) for each in networks if isinstance(each, torch.nn.Module)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._answers.clear()

    def unguided(self, said: torch.Tensor) -> torch.Tensor:
        """What of the last answers was for the negative prompt, where the pipeline made `said` of them.

        Models that are asked once a step have no other answer than that. Raises BadInput where it cannot be told.
        """
        answers = [part.float() for answer in self._answers for part in answer.split(len(said))]
        self._answers.clear()
        if len(answers) == 1:
            return said
        if len(answers) == 2 and all(answer.shape[1] == 2 * said.shape[1] for answer in answers):
            answers = [answer.chunk(2, dim=1)[0] for answer in answers]
        if len(answers) != 2 or any(answer.shape != said.shape for answer in answers):
            raise BadInput(
                "Samplers with CFG++ need to know what this model says to the negative prompt alone, and it runs as a "
                "whole pipeline that does not tell. Choose another sampler."
            )
        first, second = answers
        way = second - first
        share = ((said - first) * way).sum() / (way * way).sum().clamp(min=1e-12)
        # Guided answers lie beyond the positive one, as seen from the negative one.
        return first if float(share) >= _HALF else second
