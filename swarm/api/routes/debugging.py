"""Routes for people who work on the server or its translations (swarm-core 6.6), and the metadata wipe (7.3)."""

from __future__ import annotations

import logging
from pathlib import Path

import orjson

from swarm.access.permissions import ADMIN_DEBUG, RESET_METADATA
from swarm.api.docs import routes_page
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.state import AppState

_MOST_WORDS = 100_000
_log = logging.getLogger(__name__)


@route("DebugLanguageAdd", permission=ADMIN_DEBUG, touches=True, answers=SUCCESS)
async def debug_language_add(call: Call, set: list[str]) -> JsonObject:
    """Add words that want translating to the file `language-words.json` in the data folder."""
    await to_thread(_add_words, call.state.options.data_dir / "language-words.json", set)
    return {"success": True}


@route("DebugGenDocs", permission=ADMIN_DEBUG, touches=True, answers=SUCCESS)
async def debug_gen_docs(call: Call) -> JsonObject:
    """Write the reference of all routes, those of extensions too, to `DebugNewAPIDocs/routes.md` in the data folder."""
    await to_thread(_write_docs, call.state)
    return {"success": True}


@route("WipeMetadata", permission=RESET_METADATA, touches=True, answers=SUCCESS)
async def wipe_metadata(call: Call) -> JsonObject:
    """Forget what was learnt about models and pictures, and read all models again. Running work is not disturbed."""
    _log.info("The caches of model and picture metadata are emptied.")
    await to_thread(call.state.outputs.index.forget_texts)
    await to_thread(call.state.catalog.read_anew)
    return {"success": True}


def _add_words(path: Path, words: list[str]) -> None:
    try:
        known = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        known = {}
    merged = {**dict.fromkeys(words, ""), **(known if isinstance(known, dict) else {})}
    kept = dict(sorted(merged.items())[:_MOST_WORDS])
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2))
    unfinished.replace(path)


def _write_docs(state: AppState) -> None:
    folder = state.options.data_dir / "DebugNewAPIDocs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "routes.md").write_text(routes_page(state.routes), encoding="utf-8")
