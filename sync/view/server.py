"""The page and what it asks for, on loopback alone. Nothing of the session leaves the machine, and nothing is
written."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firmware_host.errors import PortError
from recorder.serve.guard import Guard
from recorder.serve.page import page
from sync.view.content import Content
from sync.view.media import Body

NAMES = frozenset({"localhost"})
PIECE = 256 * 1024
LONGEST = 1024 * 1024
"""Bytes that one answer to a range has at most; the player asks for the next. A browser has six connections to a
server, and a player that has enough for now holds its own open: with a few cameras none would be left."""
MOST_COLUMNS = 4000
POLICY = (
    b"default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    b"media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def make_app(content: Content) -> Starlette:
    """The application: ``/`` the page, ``/session`` what there is, ``/body/N`` media by ranges, ``/curve/N``,
    ``/heat/N``, ``/gaze/N`` numbers."""
    views = _Views(content)
    routes = [
        *page(Path(__file__).parent),
        Route("/session", views.session),
        Route("/body/{number:int}", views.body),
        Route("/curve/{number:int}", views.curve),
        Route("/heat/{number:int}", views.heat),
        Route("/gaze/{number:int}", views.gaze),
    ]
    handlers: Any = {HTTPException: lambda _, e: JSONResponse({"error": e.detail}, e.status_code, e.headers)}
    return Starlette(
        routes=routes, middleware=[Middleware(_Playable), Middleware(Guard, names=NAMES)], exception_handlers=handlers
    )


class _Playable:
    """The kit's guard lets a page play nothing; this page plays what comes from here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [h for h in message["headers"] if h[0].lower() != b"content-security-policy"]
                message["headers"] = [*kept, (b"content-security-policy", POLICY)]
            await send(message)

        await self._app(scope, receive, allowed)


class _Views:
    def __init__(self, content: Content) -> None:
        self._content = content

    async def session(self, _: Request) -> Response:
        return JSONResponse(self._content.document, headers={"cache-control": "no-store"})

    async def body(self, request: Request) -> Response:
        bodies = self._content.bodies
        return _ranged(request, bodies[_number(request, len(bodies))])

    async def curve(self, request: Request) -> Response:
        number = _number(request, len(self._content.curves))
        first, last = _query(request, "from"), _query(request, "to")
        count = _query(request, "columns")
        if not first < last or not 1 <= count <= MOST_COLUMNS:
            raise HTTPException(422, f"give 'from' before 'to', and 1 to {MOST_COLUMNS} 'columns'")
        return JSONResponse(await run_in_threadpool(self._content.curve, number, first, last, int(count)))

    async def heat(self, request: Request) -> Response:
        number = _number(request, len(self._content.curves))
        return Response(await run_in_threadpool(self._content.heat, number), media_type="application/octet-stream")

    async def gaze(self, request: Request) -> Response:
        number = _number(request, len(self._content.gazes))
        return Response(await run_in_threadpool(self._content.gaze, number), media_type="application/octet-stream")


def _number(request: Request, known: int) -> int:
    number = int(request.path_params["number"])
    if number >= known:
        raise HTTPException(404, "there is nothing of that number")
    return number


def _query(request: Request, name: str) -> float:
    with suppress(ValueError):
        value = float(request.query_params.get(name, ""))
        if math.isfinite(value) and abs(value) < 1e9:
            return value
    raise HTTPException(422, f"'{name}' must be a number")


def _ranged(request: Request, body: Body) -> Response:
    """The bytes that a Range header asks for, or all."""
    try:
        size = body.size
    except OSError as error:
        raise HTTPException(404, "the file is gone") from error
    headers = {"accept-ranges": "bytes", "cache-control": "no-store"}
    asked = request.headers.get("range")
    if asked is None:
        headers["content-length"] = str(size)
        return StreamingResponse(_pieces(body, 0, size), 200, headers, body.media_type)
    span = _span(asked, size)
    if span is None:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    start, stop = span
    headers |= {"content-length": str(stop - start), "content-range": f"bytes {start}-{stop - 1}/{size}"}
    return StreamingResponse(_pieces(body, start, stop), 206, headers, body.media_type)


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """[start, stop) of a Range header's first range; None where there are no such bytes."""
    found = re.match(r"bytes=(\d{0,18})-(\d{0,18})", asked.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    return (start, min(stop, start + LONGEST)) if start < stop else None


def _pieces(body: Body, start: int, stop: int) -> Iterator[bytes]:
    head = len(body.head)
    if start < head:
        yield body.head[start:stop]
        start = head
    with body.path.open("rb") as file:
        file.seek(start - head)
        while start < stop and (piece := file.read(min(PIECE, stop - start))):
            start += len(piece)
            yield piece


def listen(port: int) -> socket.socket:
    """The listening socket on loopback; `port` 0 for any free one.

    Raises:
        PortError: the port cannot be had.
    """
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        line.bind(("127.0.0.1", port))
        line.listen()  # who asks before the server runs, waits for it
    except OSError as error:
        line.close()
        raise PortError(f"port {port} cannot be had ({error.strerror}); choose another with --port") from error
    return line


def serve(content: Content, line: socket.socket) -> None:
    """Serve on a bound socket until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        make_app(content),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[line])
