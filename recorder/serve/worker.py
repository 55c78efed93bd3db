"""The process that records: arms a kit, starts when it is told, stops when it is told, and says how it goes.

It is apart from the server, so that nothing that reaches the server's port can hold the interpreter's lock of a
recording. Orders come and reports go over one pipe. When the pipe ends, the server is gone: the recording is sealed.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from firmware_host.clock import SECOND_NS
from firmware_host.errors import SyncctlError
from firmware_host.process import WARM_UP_NS, Acquisition
from recorder.arm import Armed, arm
from recorder.conducted import record_conducted, session_of
from recorder.protocol import Conductor, Speaker
from recorder.record import LiveKit
from recorder.run import Done
from recorder.serve.orders import Start
from recorder.status import LiveStatus, Snapshot

PREVIEW_EVERY_S = 0.5
PREVIEW_WANTED_S = 5.0
"""A preview is made for this long after somebody asked for one."""
IDLE_S = 0.05
BACKLOG = 8
"""Reports that wait for the server at most; pictures of the state beyond that are left out."""
SOONEST_NS = WARM_UP_NS + SECOND_NS // 2
"""From an order to tick 0: the sensors' start-up."""


KitMaker = Callable[[], tuple[LiveKit, Speaker | None]]


def work(conn: Connection, make_kit: KitMaker) -> None:
    """The whole life of the process: arm, wait, record, report. Everything goes to the pipe, nothing is raised."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle; it tells us
    outbox = _Outbox(conn)
    worker = _Worker(outbox, make_kit)
    signal.signal(signal.SIGTERM, lambda *_: worker.end())
    threading.Thread(target=worker.obey, args=(conn,), name="orders", daemon=True).start()
    try:
        worker.live()
    except SyncctlError as error:
        outbox.put("failed", str(error))
    except Exception as error:
        traceback.print_exc()
        outbox.put("failed", f"the recorder failed ({type(error).__name__}: {error}); what it wrote is kept")
    outbox.close()


class _Outbox:
    """Sends from a thread of its own: whoever writes the recording never waits for the server."""

    def __init__(self, conn: Connection) -> None:
        self._queue: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, args=(conn,), name="reports", daemon=True)
        self._thread.start()

    def put(self, kind: str, value: Any) -> None:
        """A report that must arrive."""
        self._queue.put((kind, value))

    def offer(self, kind: str, value: Any) -> None:
        """A report that the next one makes good."""
        if self._queue.qsize() < BACKLOG:
            self._queue.put((kind, value))

    def close(self) -> None:
        """Send what waits, then end."""
        self._queue.put(None)
        self._thread.join(timeout=5)

    def _send(self, conn: Connection) -> None:
        while (item := self._queue.get()) is not None:
            try:
                conn.send(item)
            except OSError:
                return  # nobody is there to be told


class _Worker:
    """`obey` takes orders in its own thread; `live` does the work in the main one."""

    def __init__(self, outbox: _Outbox, make_kit: KitMaker) -> None:
        self._outbox, self._make = outbox, make_kit
        self._speaker: Speaker | None = None
        self._orders: queue.SimpleQueue[Start] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._conductor: Conductor | None = None
        self._kit: LiveKit | None = None
        self._preview_until = 0.0

    def end(self) -> None:
        """Nobody wants the kit any more, or the server is gone: seal what there is, now."""
        self._ended.set()
        if self._conductor is not None:
            self._conductor.stop.set()

    def obey(self, conn: Connection) -> None:
        """Take orders until the pipe ends."""
        while True:
            try:
                order, value = conn.recv()
            except (EOFError, OSError):
                return self.end()
            conductor = self._conductor
            if order == "start":
                self._orders.put(value)
            elif order == "preview":
                self._preview_until = time.monotonic() + PREVIEW_WANTED_S
            elif order == "event" and conductor is not None and self._kit is not None:
                conductor.event(self._kit.clock.now_ns() - int(value["age_ns"]), value["text"])
            elif order == "stop" and conductor is not None:
                conductor.asked.set()
            elif order == "end" or order == "stop":
                self.end()

    def live(self) -> None:
        """Arm, wait for the order, record."""
        armed = arm(self._made, self._status, self._ended.is_set)
        self._kit = armed.kit
        threading.Thread(target=self._previews, args=(armed,), name="preview", daemon=True).start()
        self._outbox.put("armed", armed.missing)
        order: Start | None = None
        while order is None and not self._ended.is_set():
            armed.listen()
            try:
                order = self._orders.get(timeout=IDLE_S)
            except queue.Empty:
                continue
        if order is None:
            return armed.close()
        done = self._record(armed.kit, order)
        self._outbox.put("done", (done.document(), done.notes))
        return None

    def _made(self) -> LiveKit:
        kit, self._speaker = self._make()
        return kit

    def _status(self, kit: LiveKit, acquisition: Acquisition) -> LiveStatus:
        return LiveStatus(kit.layout, kit.clock.now_ns(), self._tell, lambda: acquisition.settings)

    def _tell(self, snapshot: Snapshot) -> None:
        self._outbox.offer("snapshot", snapshot.document())

    def _record(self, kit: LiveKit, order: Start) -> Done:
        kit.t0_ns = _tick0_ns(kit, order.at_ns)
        task = order.task
        conductor = Conductor(task, kit.t0_ns, self._speaker)
        self._conductor = conductor
        if self._ended.is_set():
            conductor.stop.set()
        session = session_of(order.folder, task)
        self._outbox.put("started", {"t0_ns": kit.t0_ns, "wall_ns": kit.t0_ns + _wall_minus_monotonic_ns()})
        return record_conducted(session, kit, conductor, self._tell)

    def _previews(self, armed: Armed) -> None:
        """Pictures for whoever looks, at their own slow pace and only while somebody does."""
        while armed.camera is not None:
            time.sleep(PREVIEW_EVERY_S)
            if time.monotonic() < self._preview_until and (picture := armed.camera.preview()):
                self._outbox.offer("preview", picture)


def _tick0_ns(kit: LiveKit, at_ns: int | None) -> int:
    """Tick 0 on the kit's clock: at the wall time that was agreed on, but not before the sensors can be ready."""
    soonest_ns = kit.clock.now_ns() + SOONEST_NS
    return soonest_ns if at_ns is None else max(soonest_ns, at_ns - _wall_minus_monotonic_ns())


def _wall_minus_monotonic_ns() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, by the tightest of a few readings."""
    best = (1 << 62, 0)
    for _ in range(9):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        best = min(best, (after - before, wall - (before + after) // 2))
    return best[1]
