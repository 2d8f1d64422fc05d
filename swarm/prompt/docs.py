"""The prompt syntax reference, written from the tags' own docstrings."""

from __future__ import annotations

import inspect

from swarm.base.registry import Registry
from swarm.prompt.tag import PromptTag

_HEAD = """# Prompt syntax

<!-- Generated from the docstrings in swarm/prompt/tags; do not edit. -->

Tags look like `<name>`, `<name:data>` or `<name[options]:data>`; names may be written in capitals. Tags may stand in
the data of other tags. A tag that is unknown, or that cannot be understood, stays in the prompt as it is. Random
choices come from the wildcard seed (or the seed), so the same request gives the same picture.
"""

_ENCODER = """## Weights and steps

| write | for |
| --- | --- |
| `(text)` | a tenth more weight; may be nested |
| `(text:1.3)` | exactly this weight |
| `[a\\|b]` | one at a step, the other at the next, in turns |
| `[a:b:0.4]` | the first until that share of the steps (or, from 1 on, until that step), then the second |
| `[a:0.4]` | the text only from then on |
| `\\(` `\\)` `\\[` `\\]` `\\:` `\\\\|` `\\\\` | the character itself |

Steps are counted as the model was trained, in even steps: schedules that hurry at the beginning (Karras …) reach a
change earlier, and where a step lies right at one, both texts are drawn. Parentheses that do not match make text of
all that follows them, other weights included.
"""


def prompt_syntax_page(tags: Registry[PromptTag]) -> str:
    """A Markdown page: every tag with its documentation, by name, then what the text encoder reads."""
    sections = [_section(tag) for tag in sorted(tags.values(), key=lambda tag: tag.name)]
    return "\n".join([_HEAD, *sections, _ENCODER])


def _section(tag: PromptTag) -> str:
    others = ", ".join(f"`<{alias}>`" for alias in tag.aliases)
    also = f"\n\nAlso written {others}." if others else ""
    return f"## `<{tag.name}>`\n\n{inspect.cleandoc(tag.doc)}{also}\n"
