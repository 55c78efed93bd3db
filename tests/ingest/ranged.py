"""A web server as object stores are: it gives ranges of files, and remembers who asked for what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def served(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; yields its address and the paths of the ranges that were read, as they are read."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = root / self.path.lstrip("/")
            data = path.read_bytes() if path.is_file() else None
            status, start, stop = (404, 0, 0) if data is None else (200, 0, len(data))
            wanted = self.headers.get("Range")
            if data is not None and wanted:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                status, start, stop = 206, int(first), min(len(data), int(last) + 1 if last else len(data))
            if body and data is not None:
                asked.append(path.name)
            self.send_response(status)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(stop - start))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data or b'')}")
            self.end_headers()
            if body and data is not None:
                self.wfile.write(data[start:stop])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
