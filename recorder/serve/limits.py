"""Limits that come before HTTP: how many may be connected, and how long a request may take to arrive.

uvicorn limits neither: its keep-alive timeout begins again with each byte. A connection that sends a byte a minute
would be kept for ever, and two hundred of them would be two hundred.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
REQUEST_S = 10.0
"""From the first moment of a connection, or of a kept-alive one's next request, to the end of the request."""
MAX_HEAD = 16 * 1024
LINGER_S = 1.0
"""A refused connection is read for so long and no longer: closed at once, its client might never see the answer."""
_FULL = b'{"error": "too many connections; try again in a few seconds"}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a bound on connections and a deadline for every request."""

    _deadline: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refused = True
            self.connections.discard(self)
            transport.write(FULL)
            if transport.can_write_eof():
                transport.write_eof()
            self.loop.call_later(LINGER_S, transport.close)
            return
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body:
            self._disarm()  # the request is here; the answer may take its time

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(REQUEST_S, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self.transport.abort()
