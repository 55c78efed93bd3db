"""A kit's writer that says how it is going, and follows the protocol of the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from firmware_host.spec import Flag, Reading
from recorder.microphone import SoundBlock
from recorder.mux import EncodedFrame
from recorder.protocol import Conductor
from recorder.record import LiveKit, PlayedKit
from recorder.session import Session
from recorder.status import LiveStatus, Snapshot
from recorder.writer import KitWriter


class ObservedWriter(KitWriter):
    """Writes as any writer does; beside that it keeps a `LiveStatus` and lets a `Conductor` take its steps."""

    def __init__(
        self,
        kit: LiveKit | PlayedKit,
        media: Path,
        log: Path,
        conductor: Conductor,
        sink: Callable[[Snapshot], None],
    ) -> None:
        super().__init__(kit.layout, media, log, kit.t0_ns)
        self._kit, self._conductor = kit, conductor
        settings = kit.acquisition
        self._status = LiveStatus(kit.layout, kit.t0_ns, sink, lambda: settings.settings, lambda: _size(media))

    def video(self, frame: EncodedFrame) -> None:
        super().video(frame)
        self._status.frame(frame)

    def sound(self, block: SoundBlock) -> None:
        super().sound(block)
        self._status.block(block)

    def readings(self, readings: Sequence[Reading]) -> None:
        super().readings(readings)
        self._status.readings(readings)

    def advance(self, tick: int) -> None:
        lost = {s.name: self.counters[f"{s.name}.{Flag.LOST.name}"] for s in self.layout.sensors}
        super().advance(tick)
        for name, before in lost.items():
            self._status.lost(name, self.counters[f"{name}.{Flag.LOST.name}"] - before)
        if isinstance(self._kit, LiveKit):
            now_ns = self._kit.clock.now_ns()
            self._conductor.step(now_ns, self.event)
            self._status.tick(now_ns, self.counters)


def observed(
    conductor: Conductor, sink: Callable[[Snapshot], None]
) -> Callable[[Session, LiveKit | PlayedKit], ObservedWriter]:
    """What `recorder.run.record_all` takes as `make_writer`."""

    def make(session: Session, kit: LiveKit | PlayedKit) -> ObservedWriter:
        name = kit.layout.name
        return ObservedWriter(kit, session.path(f"{name}.mkv"), session.path(f"{name}.log.jsonl"), conductor, sink)

    return make


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
