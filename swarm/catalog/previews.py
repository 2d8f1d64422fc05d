"""Pictures of models: what their metadata holds, or a picture lying beside them, made small."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from pathlib import Path

from swarm.base.data_url import parse_data_url
from swarm.base.errors import BadInput
from swarm.catalog.cache import ModelCache
from swarm.catalog.model import ModelEntry
from swarm.media.formats import thumbnail
from swarm.media.image import Picture

logger = logging.getLogger(__name__)

_MAX_FILE = 64 * 1024 * 1024
_REMEMBERED = 512
_PICTURES = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "jpg", "webp", "gif", "avif"))


class Previews:
    """Blocking and thread-safe. The last few hundred small pictures stay in memory."""

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._small: OrderedDict[tuple[str, int], Picture | None] = OrderedDict()

    def of(self, entry: ModelEntry) -> Picture | None:
        """None when there is no picture, or none that can be read."""
        if entry.info.preview:
            url = self._cache.preview(entry.path)
            return _embedded(url, entry.name) if url is not None else None
        return self._beside(entry.preview_file) if entry.preview_file is not None else None

    def _beside(self, file: Path) -> Picture | None:
        try:
            key = str(file), file.stat().st_mtime_ns
        except OSError:
            return None
        with self._lock:
            if key in self._small:
                self._small.move_to_end(key)
                return self._small[key]
        picture = _made_small(file)
        with self._lock:
            self._small[key] = picture
            if len(self._small) > _REMEMBERED:
                self._small.popitem(last=False)
        return picture


def _embedded(url: str, name: str) -> Picture | None:
    try:
        mime, data = parse_data_url(url)
    except BadInput as error:
        logger.warning("The picture in the metadata of %s cannot be read: %s", name, error)
        return None
    # A file may call anything its picture, a web page for example.
    return Picture(data=data, mime=mime) if mime in _PICTURES else None


def _made_small(file: Path) -> Picture | None:
    try:
        if file.stat().st_size > _MAX_FILE:
            return None
        return Picture(data=thumbnail(file.read_bytes()), mime="image/jpeg")
    except (OSError, BadInput) as error:
        logger.warning("The model picture %s cannot be read: %s", file, error)
        return None
