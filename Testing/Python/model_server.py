"""An HTTP server on loopback that serves models as the network does: it drops connections, truncates, lies, stalls."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Far longer than anything here takes; only a fault lets it pass.
_LONG_S = 300.0


@dataclass
class Served:
    """What an address gives.

    Attributes:
        content: the file.
        etag: "" for none.
        ranges: whether it can start in the middle.
        drops: for each connection in turn, how many bytes go out before it breaks; later ones are served whole.
        claim: Content-Length told instead of the true one.
        stall_after: bytes after which the server falls silent.
        status: HTTP status instead of 200.
        shift: bytes by which a server starts elsewhere than asked.
    """

    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    drops: list[int] = field(default_factory=list)
    claim: int | None = None
    stall_after: int | None = None
    status: int = 200
    shift: int = 0


@dataclass
class ModelServer:
    """A running server.

    Attributes:
        url: start of every address.
        files: path without "/" -> what it gives.
        requests: (path or, through a proxy, the whole address; Range header), of every request.
        silent: connections that it keeps waiting.
        released: ends the waiting.
    """

    url: str
    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    silent: int = 0
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """A server that runs while this lasts; also a proxy that answers for every host."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            model.requests.append((self.path, self.headers.get("Range", "")))
            served = model.files.get(self.path.rpartition("/")[2])
            if served is None or served.status != 200:
                self.send_response(404 if served is None else served.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = self._start(served)
            if start is None:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = served.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
            if served.etag:
                self.send_header("ETag", served.etag)
            self.send_header("Content-Length", str(len(body) if served.claim is None else served.claim - start))
            self.end_headers()
            self._send(served, body)

        def _start(self, served: Served) -> int | None:
            """The first byte wanted, None where there is none behind it."""
            wanted = self.headers.get("Range", "")
            if not (served.ranges and wanted and self.headers.get("If-Range") == served.etag):
                return 0
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            return start + served.shift if start < len(served.content) else None

        def _send(self, served: Served, body: bytes) -> None:
            if served.drops:
                self.wfile.write(body[: served.drops.pop(0)])
                self._hang_up()
            elif served.stall_after is not None:
                self.wfile.write(body[: served.stall_after])
                self.wfile.flush()
                model.silent += 1
                model.released.wait(_LONG_S)
                model.silent -= 1
            else:
                self.wfile.write(body)
                if served.claim is not None:
                    self._hang_up()

        def _hang_up(self) -> None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Silent."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model = ModelServer(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        model.released.set()
        server.shutdown()
        server.server_close()
