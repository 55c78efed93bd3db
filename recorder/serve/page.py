"""A page of three files, held in memory, of which a browser asks each time whether there is a newer one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {"page.html": "text/html; charset=utf-8", "page.css": "text/css", "page.js": "text/javascript"}


def page(folder: Path) -> list[Route]:
    """``/``, ``/page.css`` and ``/page.js`` from a folder's page.html, page.css and page.js."""
    places = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}
    return [Route(place, _held(folder / name)) for place, name in places.items()]


def _held(path: Path) -> Callable[[Request], Response]:
    data = path.read_bytes()

    def answer(_: Request) -> Response:
        return Response(data, media_type=TYPES[path.name], headers={"cache-control": "no-cache"})

    return answer
