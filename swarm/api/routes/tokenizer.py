"""Counting and showing the tokens of a prompt (swarm-core 7.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swarm.access.permissions import USE_TOKENIZER
from swarm.api.route import Call, route
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.prompt.clip_tokens import Token, clip_tokens
from swarm.prompt.estimate import without_syntax
from swarm.prompt.weights import weighted_spans

LONGEST_TEXT = 102_400
_LONGEST_NAME = 128
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f:*?"<>|\\]')

_Weighted = tuple[Token, float]


@route("CountTokens", permission=USE_TOKENIZER, answers={"count": int})
async def count_tokens(
    call: Call, text: str, skipPromptSyntax: bool = False, tokenset: str = "clip", weighting: bool = True
) -> JsonObject:
    """How many tokens a text has: `{"count": 7}`. With `weighting`, of the longest part between `<break>` tags.

    `skipPromptSyntax`: tags count as what they may become. `weighting`: `(word:1.5)` is a weight, not text.
    `tokenset`: `clip`.
    """
    wanted = _checked(call, text, skipPromptSyntax, tokenset)
    parts = wanted.split("<break>") if weighting else [wanted]
    return {"count": await to_thread(lambda: max(len(_tokens(part, weighting)) for part in parts))}


@route("TokenizeInDetail", permission=USE_TOKENIZER, answers={"tokens": [{"id": int, "weight": float, "text": str}]})
async def tokenize_in_detail(
    call: Call, text: str, skipPromptSyntax: bool = False, tokenset: str = "clip", weighting: bool = True
) -> JsonObject:
    """The tokens of a text: `{"tokens": [{"id": 2368, "weight": 1.0, "text": "cat</w>"}, …]}`. See CountTokens."""
    wanted = _checked(call, text, skipPromptSyntax, tokenset)
    tokens = await to_thread(_tokens, wanted, weighting)
    return {"tokens": [{"id": token.id, "weight": weight, "text": token.text} for token, weight in tokens]}


def _checked(call: Call, text: str, skip: bool, tokenset: str) -> str:
    """The text whose tokens are wanted. Raises BadInput, NotFound."""
    if len(text) > (10 * LONGEST_TEXT if skip else LONGEST_TEXT):
        raise BadInput("Text too long, refused.")
    wanted = without_syntax(text, call.state.generation.tag_names()) if skip else text
    if len(wanted) > LONGEST_TEXT:
        raise BadInput("Text too long, refused.")
    name = _FORBIDDEN.sub("", tokenset)
    if not name or len(name) > _LONGEST_NAME or "/" in name or "." in name:
        raise BadInput("Invalid tokenset (refused characters or format), refused.")
    if name != "clip":
        raise NotFound(f"Tokenset '{name}' does not exist.")
    return wanted


def _tokens(text: str, weighting: bool) -> Sequence[_Weighted]:
    """Blocking."""
    spans = [(span.text, span.weight) for span in weighted_spans(text)] if weighting else [(text, 1.0)]
    return [(token, weight) for part, weight in spans for token in clip_tokens(part)]
