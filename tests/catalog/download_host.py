"""A web server on this machine to download from, and what downloads from it leave."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from swarm.base.outgoing import Outgoing
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from swarm.catalog.transfer import Progress

SD = "Stable-Diffusion"
Answering = Callable[[BaseHTTPRequestHandler], None]


class Host:
    """A web server on loopback. `answer`: what it does with a GET; `asked`: (path, headers) of each."""

    def __init__(self) -> None:
        self.answer: Answering = lambda request: request.send_error(404)
        self.asked: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
                host.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def open_door() -> Outgoing:
    return Outgoing(allowed=lambda address: True, ports=None)


def downloads(catalog: Catalog, *, free: int = 1 << 50, outgoing: Outgoing | None = None) -> Downloads:
    return Downloads(
        catalog, outgoing or open_door(), lambda: 0.0, hosts=lambda: ["127.0.0.1"], free=lambda _: free, pause=0
    )


def sends(data: bytes, status: int = 200, **headers: str) -> Answering:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"content_length": str(len(data)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return answer


async def fetched(one: Downloads, url: str, metadata: str | None = None, name: str = "sub/got it") -> list[Progress]:
    wanted = one.wanted(url, SD, name, metadata, {})
    return [step async for step in one.fetch(wanted)]


def leftovers(catalog: Catalog) -> list[str]:
    return [path.name for path in catalog.download_folder(SD).parent.rglob("*") if path.is_file()]
