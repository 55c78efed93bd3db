"""A camera or microphone that falls silent is started again while the rest of the kit records on.

USB devices fall off their bus, ribbon cables work loose, drivers stall: users of unattended recorders find out days
later. So whoever owns the recording asks each device's watch now and then, and the watch starts a silent device
again, first after a second, then less and less often, and says so in notices that go the way the frames go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from firmware_host.clock import SECOND_NS

STALL_NS = 2 * SECOND_NS
"""A device that gave nothing for this long has stalled."""
FIRST_PAUSE_NS = SECOND_NS
LONGEST_PAUSE_NS = 30 * SECOND_NS
STOP_LIMIT_S = 5.0
"""A device that does not stop within this is left behind: it must not keep the session from being sealed."""


@dataclass(frozen=True)
class Notice:
    """Something that happened to a device, for the log.

    Attributes:
        stream: whose, ``camera`` or ``microphone``.
        kind: ``stalled`` (silent since `t_ns`), ``reopened`` (it gives again), ``unopened`` (a try to start it failed),
            ``unstopped`` (it did not stop as it should).
        t_ns: when, ns on the kit's clock.
        text: what the device said.
    """

    stream: str
    kind: str
    t_ns: int
    text: str = ""


class Timed(Protocol):
    """What a device gives."""

    @property
    def t_ns(self) -> int:
        """When, ns on the kit's clock."""


Given = TypeVar("Given", bound=Timed)


def with_notices(items: Iterable[Given], stream: str) -> Iterator[Given | Notice]:
    """What a device gave on a simulated clock, and between it what its watch would have said."""
    heard_ns: int | None = None
    for item in items:
        if heard_ns is not None and item.t_ns - heard_ns > STALL_NS:
            yield Notice(stream, "stalled", heard_ns)
            yield Notice(stream, "reopened", item.t_ns)
        heard_ns = item.t_ns
        yield item


class Device(Protocol):
    """What is watched: a camera or a microphone."""

    def start(self, sink: Callable[[Any], None]) -> None:
        """Begin to hand over items; may be called again after `stop`."""

    def stop(self) -> None:
        """End; no item comes after."""


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="restart", daemon=True).start()


class Watched:
    """A device and its watch. `start`, `check` and `stop` belong to one thread, which never waits for the device."""

    def __init__(self, device: Device, stream: str, spawn: Callable[[Callable[[], None]], None] = _in_thread) -> None:
        """`spawn` runs a restart beside everything else: opening a camera takes a second, closing a dead one longer."""
        self._device = device
        self._stream = stream
        self._spawn = spawn
        self._sink: Callable[[Any], None] = lambda _: None
        self._round = 0
        self._given = 0
        self._seen = -1
        self._silent = False
        self._restarting = False
        self._stopped = False
        self._now_ns = 0
        self._heard_ns = 0
        self._due_ns: int | None = None
        self._pause_ns = FIRST_PAUSE_NS

    def start(self, sink: Callable[[Any], None]) -> None:
        """Start the device; what it cannot do at the first start is raised, not retried.

        Raises:
            PortError: the device cannot be opened.
        """
        self._sink = sink
        self._open()

    def check(self, now_ns: int) -> None:
        """Have the device started again if it has been silent for too long. To be called several times a second."""
        self._now_ns = now_ns
        if self._given != self._seen:
            self._seen = self._given
            self._heard_ns = now_ns
            self._due_ns = now_ns + STALL_NS
            self._pause_ns = FIRST_PAUSE_NS
        elif self._restarting:
            return
        elif self._due_ns is None:  # a restart has just ended: the device has this long to show that it works
            self._due_ns = now_ns + STALL_NS + self._pause_ns
            self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)
        elif now_ns >= self._due_ns:
            self._due_ns = None
            if not self._silent:
                self._silent = True
                self._tell("stalled", self._heard_ns)
            self._restarting = True
            self._spawn(self._restart)

    def stop(self) -> None:
        """Stop the device. One that hangs is left behind after STOP_LIMIT_S."""
        self._stopped = True
        worker = threading.Thread(target=self._close, name=f"stop {self._stream}", daemon=True)
        worker.start()
        worker.join(STOP_LIMIT_S)
        if worker.is_alive():
            self._round += 1
            self._tell("unstopped", self._now_ns, f"no answer within {STOP_LIMIT_S:g} s")

    def _open(self) -> None:
        self._round += 1
        here = self._round

        def take(item: Any) -> None:  # in the device's thread: count, pass on, leave
            if here != self._round:  # left over from before a restart
                return
            if isinstance(item, Notice):
                self._sink(item)
                return
            if self._silent and not self._stopped:
                self._silent = False
                self._tell("reopened", item.t_ns)
            self._given += 1
            self._sink(item)

        self._device.start(take)

    def _close(self) -> None:
        try:
            self._device.stop()
        except Exception as error:  # whatever a broken device raises, the recording must go on and end in order
            self._tell("unstopped", self._now_ns, str(error))

    def _restart(self) -> None:
        self._round += 1
        self._close()
        try:
            if not self._stopped:
                self._open()
        except Exception as error:
            self._tell("unopened", self._now_ns, str(error))
        finally:
            self._restarting = False

    def _tell(self, kind: str, t_ns: int, text: str = "") -> None:
        self._sink(Notice(self._stream, kind, t_ns, text))
