"""Producers, one queue, one writer: a kit recorded live, or played through on a simulated clock.

Camera, microphone and acquisition process only ever *put*; one thread per kit owns the file and the log and takes
from the queue. Nothing a producer does can reach the disk any other way, and nothing the disk does can reach the
60 Hz loop, which lives in a process of its own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from firmware_host.clock import SECOND_NS, TICK_HZ, Clock, tick_at, tick_ns
from firmware_host.process import Acquisition, AcquisitionReport, InlineAcquisition
from recorder import profiles, wall
from recorder.camera import Camera, FrameReceipt
from recorder.config import DiskConfig
from recorder.microphone import Microphone, SoundBlock
from recorder.mux import BLOCK_TICKS, EncodedFrame
from recorder.session import Device, Session
from recorder.wall import WallReading
from recorder.watch import Notice, Watched
from recorder.writer import KitLayout, KitWriter

Item = EncodedFrame | SoundBlock | Notice | FrameReceipt

READING_LAG_TICKS = 12
"""A tick is packed a fifth of a second after it ended: readings come from their process in batches."""
CAMERA_WAIT_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class KitRole:
    """What a kit is for; goes into the manifest as it is."""

    role: str
    view: str | None = None
    wearer: str | None = None
    tone_distance_m: float | None = None


@dataclass
class LiveKit:
    """A kit whose devices run by themselves. `bit_rate` is what its video is expected to be, bits per second."""

    layout: KitLayout
    about: KitRole
    clock: Clock
    t0_ns: int
    acquisition: Acquisition
    camera: Camera | None = None
    microphone: Microphone | None = None
    disk: DiskConfig = field(default_factory=DiskConfig)
    bit_rate: int = 2_000_000
    profiles: Path | None = None
    """Where to keep what its sensors have learnt about themselves; None for nowhere."""
    clocks: Callable[[], WallReading] = wall.read


@dataclass
class PlayedKit:
    """A kit on a simulated clock: everything it will record, in order of time."""

    layout: KitLayout
    about: KitRole
    t0_ns: int
    acquisition: InlineAcquisition
    frames: Iterator[EncodedFrame | Notice] = field(default_factory=lambda: iter(()))
    blocks: Iterator[SoundBlock | Notice] = field(default_factory=lambda: iter(()))
    clocks: Callable[[], WallReading] = wall.read


@dataclass
class Recorded:
    """What a kit left: its manifest entry, and what is worth telling."""

    device: Device
    counters: dict[str, Any]
    notes: list[str]
    ticks: int
    fault: OSError | None = None
    """Why the disk took nothing more."""


def kit_device(writer: KitWriter, kit: LiveKit | PlayedKit, **known: Any) -> Device:
    """The manifest entry of a kit."""
    name, about = writer.layout.name, kit.about
    return Device(
        name=name,
        kind="kit",
        role=about.role,
        clock=name,
        file=f"{name}.mkv",
        log=f"{name}.log.jsonl",
        streams=writer.streams(known.pop("fit", None)),
        view=about.view,
        wearer=about.wearer,
        tone_distance_m=about.tone_distance_m,
        **known,
    )


def open_writer(session: Session, kit: LiveKit | PlayedKit) -> KitWriter:
    """The writer of a kit's file and log in the session folder."""
    name = kit.layout.name
    media, log = session.path(f"{name}.mkv"), session.path(f"{name}.log.jsonl")
    return KitWriter(kit.layout, media, log, kit.t0_ns, kit.clocks)


def record_live(
    kit: LiveKit,
    writer: KitWriter,
    stop: threading.Event,
    ticks: int | None,
    on_tick: Callable[[int], None] = lambda _: None,
) -> Recorded:
    """Record until `stop` is set or `ticks` have passed; blocks. Call from the thread that owns the writer."""
    inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
    found: tuple[tuple[Camera | Microphone | None, str], ...] = ((kit.microphone, "microphone"), (kit.camera, "camera"))
    devices = [Watched(device, stream) for device, stream in found if device is not None]
    kit.acquisition.open()
    kit.acquisition.start(kit.t0_ns)
    try:
        for device in devices:
            device.start(inbox.put)
        now, failed, due_ns = 0, False, 0
        while not stop.is_set() and writer.fault is None and (ticks is None or now < ticks):
            _take(inbox, writer, wait_s=POLL_S)
            now_ns = kit.clock.now_ns()
            if now_ns < due_ns:  # an item came; the rest need not be looked at for each
                continue
            due_ns = now_ns + round(POLL_S * SECOND_NS)
            _poll(kit.acquisition, writer)
            writer.settings(kit.acquisition.settings)
            if kit.acquisition.failure and not failed:  # picture and sound go on without the sensors
                failed = True
                writer.event("failure", part="acquisition", text=kit.acquisition.failure)
            for device in devices if now_ns >= kit.t0_ns else ():  # played devices give nothing before
                device.check(now_ns)
            now = tick_at(kit.t0_ns, now_ns)
            writer.advance(_whole_blocks(min(now - READING_LAG_TICKS, ticks or now)))
            if writer.waiting_for_camera and now > CAMERA_WAIT_S * TICK_HZ:
                writer.open_without_camera()
            on_tick(now)
    finally:
        for device in reversed(devices):
            device.stop()
        end = tick_at(kit.t0_ns, kit.clock.now_ns())
        report = kit.acquisition.stop()
        _take(inbox, writer, wait_s=0)
        _poll(kit.acquisition, writer)
        if kit.profiles:
            profiles.keep(kit.profiles, report.settings)
        recorded = _finish(kit, writer, report, min(end, ticks or end))
    return recorded


def _whole_blocks(tick: int) -> int:
    """A sensor's rows leave by blocks; to pack them one by one would cost twelve times as much and save nothing."""
    return tick - tick % BLOCK_TICKS


def record_played(
    kit: PlayedKit,
    writer: KitWriter,
    stop: threading.Event,
    ticks: int,
    on_tick: Callable[[int], None] = lambda _: None,
) -> Recorded:
    """Record `ticks` on a simulated clock, as fast as it goes; the same bytes every time."""
    kit.acquisition.open()
    kit.acquisition.start(kit.t0_ns)
    frames, blocks = _Until(kit.frames, lambda f: f.t_ns), _Until(kit.blocks, lambda b: b.t_ns)
    now = 0
    while now < ticks and not stop.is_set() and writer.fault is None:
        now = min(now + TICK_HZ // 4, ticks)
        until_ns = tick_ns(kit.t0_ns, now)
        kit.acquisition.run_until(until_ns)
        for item in (*frames.take(until_ns), *blocks.take(until_ns)):
            _give(item, writer)
        _poll(kit.acquisition, writer)
        writer.advance(now)
        on_tick(now)
    return _finish(kit, writer, kit.acquisition.stop(), now)


def _finish(kit: LiveKit | PlayedKit, writer: KitWriter, report: AcquisitionReport, ticks: int) -> Recorded:
    if writer.waiting_for_camera:
        writer.open_without_camera()
    writer.advance(ticks)
    for text in report.notes:
        writer.event("note", text=text)
    fit = writer.close()
    counters = {**writer.counters, **report.counters, "ticks": writer.ticks}
    if fit:
        counters["microphone.rate_hz"] = round(fit.rate_hz, 4)
    device = kit_device(writer, kit, fit=fit, settings=report.settings)
    return Recorded(device, counters, list(report.notes), writer.ticks, writer.fault)


def _poll(acquisition: Acquisition, writer: KitWriter) -> None:
    """Hand over the readings that have come, and what changed in the sensors' health."""
    writer.readings(acquisition.poll())
    for change in acquisition.transitions():
        writer.event("health", **asdict(change))


def _take(inbox: queue.SimpleQueue[Item], writer: KitWriter, wait_s: float) -> None:
    """Hand everything in the inbox to the writer, waiting at most `wait_s` for the first item."""
    with suppress(queue.Empty):
        item = inbox.get(timeout=wait_s) if wait_s else inbox.get_nowait()
        while True:
            _give(item, writer)
            item = inbox.get_nowait()


def _give(item: Item, writer: KitWriter) -> None:
    if isinstance(item, EncodedFrame):
        writer.video(item)
    elif isinstance(item, Notice):
        writer.notice(item)
    elif isinstance(item, FrameReceipt):
        writer.receipt(item)
    else:
        writer.sound(item)


class _Until:
    """Takes from an iterator as long as items are due."""

    def __init__(self, items: Iterable[Any], due: Callable[[Any], int]) -> None:
        self._items = iter(items)
        self._due = due
        self._held: list[Any] = []

    def take(self, until_ns: int) -> Iterator[Any]:
        """Items due before `until_ns`."""
        while True:
            item = self._held.pop() if self._held else next(self._items, None)
            if item is None:
                return
            if self._due(item) >= until_ns:
                self._held.append(item)
                return
            yield item
