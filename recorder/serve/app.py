"""The status page and the JSON API of a kit, as an ASGI application.

GET  /            the page                      GET  /status     state, live values, disk, clock
GET  /live        /status as server-sent events GET  /preview    the camera's last preview, JPEG
GET  /activities  what can be asked for         GET  /sessions   the sessions on this kit
GET  /sessions/NAME                             its files        GET /sessions/NAME/files/PATH (ranges)
GET  /sessions/NAME/sha256/PATH                 hash of a file
POST /arm /start /stop /event /unlock           with the token
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from firmware_host.errors import ConfigError
from recorder import durable
from recorder.activities import ACTIVITIES
from recorder.serve.guard import COOKIE, Access, Guard
from recorder.serve.host import Host
from recorder.serve.keeper import RECORDING, ConflictError, Keeper, State
from recorder.serve.orders import event_order, start_order
from recorder.serve.page import page
from recorder.serve.sessions import NotThereError, list_sessions, session_file, session_files, session_folder

LIVE_EVERY_S = 0.25
MAX_LIVE = 16
LIVE_FOR_S = 3600.0
"""A stream of events ends after this and the page asks again: what was forgotten by its reader goes away."""
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def make_app(
    keeper: Keeper, access: Access, host: Host, *, kit: str, names: frozenset[str], lifespan: Lifespan | None = None
) -> Starlette:
    """The application.

    Args:
        keeper: the recorder.
        access: who may do what.
        host: the machine's facts.
        kit: the kit's name.
        names: by which the machine may be asked.
        lifespan: what begins and ends with the server.
    """
    api = _Api(keeper, access, host, kit)
    routes = [
        *page(Path(__file__).parent),
        Route("/status", api.status),
        Route("/live", api.live),
        Route("/preview", api.preview),
        Route("/activities", api.activities),
        Route("/sessions", api.sessions),
        Route("/sessions/{name}", api.session),
        Route("/sessions/{name}/files/{path:path}", api.file),
        Route("/sessions/{name}/sha256/{path:path}", api.hash),
        *(Route(f"/{order}", getattr(api, order), methods=["POST"]) for order in ("arm", "start", "stop", "event")),
        Route("/unlock", api.unlock, methods=["POST"]),
    ]
    handlers: Any = {
        HTTPException: lambda _, e: _error(e.status_code, e.detail, e.headers),
        ConflictError: lambda _, e: _error(409, str(e)),
        ConfigError: lambda _, e: _error(422, str(e)),
        NotThereError: lambda _, e: _error(404, str(e)),
    }
    return Starlette(
        routes=routes, middleware=[Middleware(Guard, names=names)], exception_handlers=handlers, lifespan=lifespan
    )


class _Api:
    def __init__(self, keeper: Keeper, access: Access, host: Host, kit: str) -> None:
        self._keeper, self._access, self._host, self._kit = keeper, access, host, kit
        self._watching = 0

    async def status(self, request: Request) -> Response:
        return JSONResponse({**self._document(), "may": self._may(request)}, headers={"cache-control": "no-store"})

    async def live(self, request: Request) -> Response:
        if self._watching >= MAX_LIVE:
            raise HTTPException(503, "too many pages watch this kit; close one", {"retry-after": "5"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._lines(self._may(request)), media_type="text/event-stream", headers=headers)

    async def preview(self, request: Request) -> Response:
        self._look(request)
        self._keeper.want_preview()
        picture = self._keeper.preview
        if picture is None:
            return Response(status_code=204, headers={"cache-control": "no-store"})
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "no-store"})

    async def activities(self, _: Request) -> Response:
        return JSONResponse({"activities": [dict(a.__dict__) for a in ACTIVITIES.values()]})

    async def sessions(self, _: Request) -> Response:
        return JSONResponse({"sessions": await run_in_threadpool(list_sessions, self._keeper.root)})

    async def session(self, request: Request) -> Response:
        folder = session_folder(self._keeper.root, request.path_params["name"])
        files = await run_in_threadpool(session_files, folder)
        return JSONResponse({"name": folder.name, "recording": self._is_open(folder.name), "files": files})

    async def file(self, request: Request) -> Response:
        self._look(request)
        return FileResponse(self._place(request), headers={"cache-control": "no-store"})

    async def hash(self, request: Request) -> Response:
        self._look(request)
        place = self._place(request)
        if self._is_open(request.path_params["name"]):
            raise ConflictError("this session is being recorded; its files still grow")
        return JSONResponse({"sha256": await run_in_threadpool(durable.sha256, place), "bytes": place.stat().st_size})

    async def arm(self, request: Request) -> Response:
        self._steer(request)
        return self._answer(await run_in_threadpool(self._keeper.arm))

    async def start(self, request: Request) -> Response:
        self._steer(request)
        order = start_order(await _json(request), time.time_ns())
        keeper = self._keeper
        return self._answer(
            await run_in_threadpool(keeper.start, order.task, order.session, order.at_ns, force=order.allow_missing)
        )

    async def stop(self, request: Request) -> Response:
        self._steer(request)
        session = (await _json(request)).get("session")
        if session is not None and not isinstance(session, str):
            raise ConfigError("'session' must be a text")
        return self._answer(await run_in_threadpool(self._keeper.stop, session))

    async def event(self, request: Request) -> Response:
        self._steer(request)
        text, age_ns = event_order(await _json(request))
        return self._answer(await run_in_threadpool(self._keeper.event, text, age_ns))

    async def unlock(self, request: Request) -> Response:
        self._steer(request)
        answer = JSONResponse({"may": self._may(request)})
        answer.set_cookie(COOKIE, self._access.new_cookie(), httponly=True, samesite="strict", path="/")
        return answer

    async def _lines(self, may: dict[str, bool]) -> AsyncIterator[str]:
        self._watching += 1
        until = time.monotonic() + LIVE_FOR_S
        try:
            while time.monotonic() < until:
                yield f"data: {json.dumps({**self._document(), 'may': may}, separators=(',', ':'))}\n\n"
                await asyncio.sleep(LIVE_EVERY_S)
        finally:
            self._watching -= 1

    def _document(self) -> dict[str, Any]:
        state = self._keeper.state
        live = state.live
        written = live["bytes_written"] if live is not None and state.name == RECORDING else None
        return {
            "kit": self._kit,
            "version": _version(),
            "state": state.name,
            "session": state.session,
            "activity": state.activity,
            "instruction": state.instruction,
            "missing": state.missing,
            "error": state.error,
            "notes": state.notes,
            "started_ns": state.started,
            "wall_ns": time.time_ns(),
            "live": live,
            "live_age_s": round(time.monotonic() - state.live_at, 2) if live is not None else None,
            **self._host.document(written),
        }

    def _may(self, request: Request) -> dict[str, bool]:
        return {
            "steer": self._access.may_steer(request),
            "look": self._access.may_look(request),
            "unlock": self._access.steerable,
        }

    def _steer(self, request: Request) -> None:
        if not self._access.steerable:
            raise HTTPException(403, "this kit is read-only; start `syncctl serve` with --token-file to steer it")
        if not self._access.may_steer(request):
            raise HTTPException(401, "steering this kit needs its token", {"www-authenticate": "Bearer"})

    def _look(self, request: Request) -> None:
        if not self._access.may_look(request):
            raise HTTPException(401, "pictures and files of this kit need its token", {"www-authenticate": "Bearer"})

    def _place(self, request: Request) -> Path:
        folder = session_folder(self._keeper.root, request.path_params["name"])
        return session_file(folder, request.path_params["path"])

    def _is_open(self, name: str) -> bool:
        state = self._keeper.state
        return state.session == name and state.name not in ("idle", "arming", "armed")

    def _answer(self, state: State) -> Response:
        known = {"state": state.name, "session": state.session, "missing": state.missing}
        return JSONResponse(known, 202)


async def _json(request: Request) -> dict[str, Any]:
    """The request's body as a JSON object; an empty one is an empty object."""
    body = await request.body()
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send JSON, with the content type application/json")
    with suppress(ValueError, RecursionError):
        if isinstance(document := json.loads(body), dict):
            return document
    raise HTTPException(400, "the body is no JSON object")


def _version() -> str:
    try:
        return version("syncctl")
    except PackageNotFoundError:
        return "unknown"


def _error(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, dict(headers or {}))
