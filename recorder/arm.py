"""A kit made ready: every device opened and heard from before anybody says "go".

What is armed is recorded by the same code as what is not: an armed camera, microphone or acquisition behaves like the
one inside it, except that opening and starting it has happened already.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from firmware_host.errors import PortError
from firmware_host.health import Transition
from firmware_host.process import WARM_UP_NS, Acquisition, AcquisitionReport
from firmware_host.spec import Reading
from recorder.camera import Camera
from recorder.microphone import Microphone, SoundBlock
from recorder.mux import EncodedFrame
from recorder.record import Item, LiveKit
from recorder.status import LiveStatus

LISTEN_S = 3.0
"""How long, after its warm-up, a sensor may take to its first value; the slowest is read twice a second."""
POLL_S = 0.05


class Warm:
    """A camera or microphone that runs already; what it gives goes to `heard` until a recording asks for it."""

    def __init__(self, producer: Camera | Microphone, heard: Callable[[Item], None]) -> None:
        self.producer = producer
        self.count = 0
        self._running = False
        self._sink: Callable[[Item], None] = heard

    def warm(self) -> None:
        """Begin. Raises PortError."""
        self.producer.start(self._pass_on)
        self._running = True

    def start(self, sink: Callable[[Any], None]) -> None:
        """From now on everything goes to `sink`; begins again what was stopped."""
        self._sink = sink
        if not self._running:
            self.warm()

    def stop(self) -> None:
        self._running = False
        self.producer.stop()

    def preview(self) -> bytes | None:
        """The camera's preview as JPEG, where it has one."""
        preview = getattr(self.producer, "preview", None)
        return preview() if preview is not None else None

    def _pass_on(self, item: Item) -> None:
        self.count += 1
        self._sink(item)


class Opened:
    """An acquisition whose ports are open already."""

    def __init__(self, acquisition: Acquisition) -> None:
        self._inner = acquisition
        acquisition.open()

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return self._inner.settings

    @property
    def failure(self) -> str | None:
        return self._inner.failure

    def open(self) -> None:
        """Nothing is left to do."""

    def start(self, t0_ns: int) -> None:
        self._inner.start(t0_ns)

    def poll(self) -> list[Reading]:
        return self._inner.poll()

    def transitions(self) -> list[Transition]:
        return self._inner.transitions()

    def stop(self) -> AcquisitionReport:
        return self._inner.stop()


@dataclass
class Armed:
    """A kit that is ready.

    Attributes:
        kit: to be recorded once `t0_ns` has been set.
        missing: streams that the kit file asks for and that gave nothing.
    """

    kit: LiveKit
    missing: tuple[str, ...]
    inbox: queue.SimpleQueue[Item]
    status: LiveStatus
    camera: Warm | None

    def listen(self) -> None:
        """Tell the status what camera and microphone gave while nobody records. Call a few times a second."""
        _drain(self.inbox, self.status)
        self.status.tick(self.kit.clock.now_ns(), {})

    def close(self) -> None:
        """Give everything back."""
        for producer in (self.kit.camera, self.kit.microphone):
            if producer is not None:
                producer.stop()
        self.kit.acquisition.stop()


def arm(
    make_kit: Callable[[], LiveKit],
    status_of: Callable[[LiveKit, Acquisition], LiveStatus],
    cancelled: Callable[[], bool] = lambda: False,
) -> Armed:
    """Open everything and hear from it: the sensors by a short trial, camera and microphone by letting them run.

    Args:
        make_kit: makes the kit, nothing of it opened; called twice, because an acquisition runs once.
        status_of: told what is heard while arming.
        cancelled: true when nobody wants the kit any more.

    Raises:
        PortError: a device cannot be opened.
    """
    kit, trial = make_kit(), make_kit().acquisition
    inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
    camera = Warm(kit.camera, inbox.put) if kit.camera is not None else None
    microphone = Warm(kit.microphone, inbox.put) if kit.microphone is not None else None
    kit.camera, kit.microphone = camera, microphone
    status = status_of(kit, trial)
    begun: list[Warm] = []
    try:
        for producer in (microphone, camera):
            if producer is not None:
                producer.warm()
                begun.append(producer)
        heard = _trial(kit, trial, lambda: _drain(inbox, status), status, cancelled)
        kit.acquisition = Opened(kit.acquisition)
    except BaseException:
        for producer in begun:
            producer.stop()
        raise
    missing = [s.name for s in kit.layout.sensors if s.name not in heard]
    missing += [n for n, p in (("camera", camera), ("microphone", microphone)) if p is not None and not p.count]
    return Armed(kit, tuple(missing), inbox, status, camera)


def _trial(
    kit: LiveKit,
    acquisition: Acquisition,
    drain: Callable[[], None],
    status: LiveStatus,
    cancelled: Callable[[], bool],
) -> set[str]:
    """Run the acquisition until every sensor has given a value; returns those that did."""
    wanted, heard = {s.name for s in kit.layout.sensors}, set[str]()
    acquisition.open()
    try:
        now_ns = kit.clock.now_ns()
        acquisition.start(now_ns + WARM_UP_NS)
        deadline_ns = now_ns + WARM_UP_NS + round(LISTEN_S * 1e9)
        while heard < wanted and now_ns < deadline_ns and not cancelled():
            readings = acquisition.poll()
            status.readings(readings)
            heard |= {r.sensor for r in readings if r.counts is not None}
            if acquisition.failure:
                raise PortError(acquisition.failure)
            drain()
            now_ns = kit.clock.now_ns()
            status.tick(now_ns, {})
            time.sleep(POLL_S)
    finally:
        acquisition.stop()
    return heard


def _drain(inbox: queue.SimpleQueue[Item], status: LiveStatus) -> None:
    while not inbox.empty():
        item = inbox.get()
        if isinstance(item, EncodedFrame):
            status.frame(item)
        elif isinstance(item, SoundBlock):
            status.block(item)
