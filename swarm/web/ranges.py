"""Open files as responses, whole or in part: one range, as browsers ask for when they seek in a video."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import BinaryIO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from swarm.base.tasks import to_thread

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CHUNK = 256 * 1024


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(first, one past last) byte that `header` asks for; everything when it is missing or no byte range.

    None: the range lies outside of the file, or there are several; the answer is then 416.
    """
    if header is None or not header.startswith("bytes="):
        return 0, size
    match = _ONE_RANGE.fullmatch(header.replace(" ", "")) if len(header) < 64 else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    return (start, end) if start < end else None


class OpenFileResponse(Response):
    """Sends an open file and closes it. Reads happen in threads, so a slow disk holds up nobody else."""

    def __init__(self, file: BinaryIO, size: int, wanted: str | None, headers: Mapping[str, str]) -> None:
        """`wanted`: the request's Range header. Ready in memory already: the first part of the file."""
        span = parse_range(wanted, size)
        self._file = file
        self._left = 0
        super().__init__(headers=headers)
        self.headers["Accept-Ranges"] = "bytes"
        if span is None:
            self.status_code = 416
            self.headers["Content-Range"] = f"bytes */{size}"
            self.headers["Content-Length"] = "0"
            return
        start, end = span
        if wanted is not None and wanted.startswith("bytes="):
            self.status_code = 206
            self.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self.headers["Content-Length"] = str(end - start)
        file.seek(start)
        self.body = file.read(min(_CHUNK, end - start))
        self._left = end - start - len(self.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            chunk = bytes(self.body)
            while self._left and chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await to_thread(self._file.read, min(_CHUNK, self._left))
                self._left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk})
