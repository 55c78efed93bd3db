"""The server as it runs on a kit: one port, one event loop, and what begins and ends with them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from firmware_host.errors import PortError, SyncctlError
from recorder import service
from recorder.activities import Task
from recorder.advertise import Advertised
from recorder.button import Light, Panel
from recorder.serve.app import make_app
from recorder.serve.guard import Access, own_names
from recorder.serve.host import Host
from recorder.serve.keeper import IDLE, ConflictError, Keeper
from recorder.serve.limits import MAX_HEAD, LimitedProtocol

REFRESH_S = 5.0
BACKLOG = 128


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        root: the folder of the sessions.
        kit: the kit's name.
        address: to bind to; only loopback is private.
        token: None for a kit that can only be watched.
        button, led: GPIO numbers.
        names: by which the machine may be asked, beside its own.
    """

    root: Path
    kit: str
    address: str = "127.0.0.1"
    port: int = 8600
    token: str | None = None
    button: int | None = None
    led: int | None = None
    names: Sequence[str] = ()

    @property
    def loopback(self) -> bool:
        return self.address in ("127.0.0.1", "::1", "localhost")


def listen(settings: Settings) -> socket.socket:
    """The listening socket.

    Raises:
        PortError: the address or port cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    line = socket.socket(family, socket.SOCK_STREAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        line.bind((settings.address, settings.port))
        line.listen()  # who asks before the server runs, waits for it
    except OSError as error:
        line.close()
        raise PortError(
            f"{settings.address} port {settings.port} cannot be had ({error.strerror}); choose another with --port"
        ) from error
    line.set_inheritable(False)
    return line


def serve(settings: Settings, make_kit: Callable[[], Any], line: socket.socket) -> None:
    """Serve on a bound socket until SIGINT or SIGTERM; a recording that runs then is sealed first."""
    keeper = Keeper(settings.root, make_kit)
    host = Host(settings.root)
    app = make_app(
        keeper,
        Access(settings.token, private=not settings.loopback),
        host,
        kit=settings.kit,
        names=own_names(settings.names),
        lifespan=_Around(settings, keeper, host, line.getsockname()[1]),
    )
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="error",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
    _Server(config).run(sockets=[line])


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """End in order, however often it is asked: a second Ctrl-C would have uvicorn drop all, sealing included."""
        self.should_exit = True


class _Around:
    """What begins and ends with the server: the button and the LED, systemd's watchdog, the name on the network."""

    def __init__(self, settings: Settings, keeper: Keeper, host: Host, port: int) -> None:
        self._settings, self._keeper, self._host, self._port = settings, keeper, host, port
        self._light = Light()

    @asynccontextmanager
    async def __call__(self, _: Starlette) -> AsyncIterator[None]:
        settings = self._settings
        panel = None
        if settings.button is not None or settings.led is not None:
            panel = Panel(settings.button, settings.led, self._press, self._pattern)
        name = None if settings.loopback else Advertised(settings.kit, self._port)
        beat = asyncio.create_task(self._beat())
        service.notify("READY=1")
        try:
            yield
        finally:
            service.notify("STOPPING=1")
            beat.cancel()
            await asyncio.to_thread(self._keeper.close)
            for thing in (panel, name):
                if thing is not None:
                    await asyncio.to_thread(thing.close)

    async def _beat(self) -> None:
        """Say that the event loop turns, and keep slow facts fresh."""
        every = min(REFRESH_S, (service.watchdog_s() or 2 * REFRESH_S) / 2)
        while True:
            service.notify("WATCHDOG=1")
            await asyncio.to_thread(self._host.refresh, time.monotonic())
            await asyncio.sleep(every)

    def _press(self, meaning: str) -> None:
        with suppress(SyncctlError, ConflictError):  # a button has no way to say why not; the LED and the page do
            if meaning == "event":
                self._keeper.event("button")
            elif self._keeper.state.name == IDLE:
                self._keeper.start(Task())
            else:
                self._keeper.stop()

    def _pattern(self) -> str:
        state, live = self._keeper.state, self._keeper.state.live
        written = live["bytes_written"] if live is not None else None
        minutes = self._host.document(written)["disk"]["minutes"]
        return self._light.pattern(
            time.monotonic(), state.name, written, error=state.error is not None, disk_minutes=minutes
        )
