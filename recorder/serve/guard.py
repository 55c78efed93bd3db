"""Who may ask what: checked before any handler runs.

* Reading is free. Steering needs the token, in an ``Authorization: Bearer`` header: a header that no other web page
  can make a browser send, so that a page on the internet cannot start a recording behind its visitor's back.
* Beyond loopback, pictures, sound and files need the token too. Whoever has shown it once to ``/unlock`` gets a cookie
  for reading, because an ``<img>``, a download and an event stream cannot carry headers. The cookie steers nothing.
* A name in the Host header that is not this machine's is refused: a page whose own name was made to point here (DNS
  rebinding) would otherwise count as same-origin. Addresses cannot be rebound.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firmware_host.errors import ConfigError
from recorder import durable

MAX_BODY = 64 * 1024
DISCARD = 32 * 1024 * 1024
"""A body that is too long is read and dropped up to here, so that its sender gets to see the answer."""
MIN_TOKEN = 16
COOKIE = "syncctl"
MAX_COOKIES = 64
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def read_token(path: Path) -> str:
    """The token in a file; one is made, readable by its owner alone, where there is no file.

    Raises:
        ConfigError: the token is too short to be one.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.replacing(path) as scratch:
            scratch.touch(mode=0o600)
            scratch.write_text(secrets.token_urlsafe(24) + "\n")
    token = path.read_text().strip()
    if len(token) < MIN_TOKEN:
        raise ConfigError(
            f"the token in {path} has {len(token)} characters; use {MIN_TOKEN} or more, or remove the file"
        )
    return token


class Access:
    """The token, and the cookies that were given for it."""

    def __init__(self, token: str | None, *, private: bool) -> None:
        """`token` is None for a kit that can only be watched; `private` where pictures and files are not for all."""
        self._token = token
        self.private = private
        self._cookies: list[str] = []

    @property
    def steerable(self) -> bool:
        return self._token is not None

    def may_steer(self, connection: HTTPConnection) -> bool:
        """Whether the request carries the token."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        known = self._token is not None and scheme.lower() == "bearer"
        # compared even where there is nothing to compare with, in constant time
        return hmac.compare_digest(given.strip().encode(), (self._token or "").encode()) and known

    def may_look(self, connection: HTTPConnection) -> bool:
        """Whether pictures, sound and files may be had."""
        if not self.private or self.may_steer(connection):
            return True
        given = connection.cookies.get(COOKIE, "").encode()
        return any(hmac.compare_digest(given, c.encode()) for c in self._cookies)

    def new_cookie(self) -> str:
        """A cookie for reading; the oldest of too many is forgotten."""
        self._cookies = [*self._cookies[-MAX_COOKIES + 1 :], secrets.token_urlsafe(24)]
        return self._cookies[-1]


def own_names(extra: Iterable[str] = ()) -> frozenset[str]:
    """Names by which this machine may be asked."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({"localhost", name, short, f"{short}.local", *(e.lower() for e in extra)})


def is_ours(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this machine: one of `names`, or any address."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    if name.lower().rstrip(".") in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: Host, Origin, body length and the headers of every answer."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await refusal(scope, receive, sealed)
            return
        if scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, sealed)
            return
        body = await _body(headers, receive)
        if body is None:
            answer = _error(413, f"a request may have {MAX_BODY // 1024} KiB at most", {"connection": "close"})
            await answer(scope, receive, sealed)
            return
        await self._app(scope, _replay(body, receive), sealed)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if not is_ours(host, self._names):
            return _error(421, "this kit is not called that; ask it by its own name or address")
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if (origin is not None and origin.partition("://")[2] != host) or headers.get(
            "sec-fetch-site", "same-origin"
        ) not in ("same-origin", "none"):
            return _error(403, "another page may not steer this kit")
        return None


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, or None where it is too long; what is too long is not kept."""
    declared = headers.get("content-length", "0")
    parts: list[bytes] = []
    size, too_long = 0, not declared.isdigit() or int(declared) > MAX_BODY
    while size <= DISCARD:
        message = await receive()
        if message["type"] != "http.request":
            return None
        size += len(message.get("body", b""))
        too_long = too_long or size > MAX_BODY
        parts = [] if too_long else [*parts, message.get("body", b"")]
        if not message.get("more_body", False):
            break
    return None if too_long else b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then whatever comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)
