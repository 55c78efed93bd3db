"""A whole recording: make the folder, record every kit, seal the manifest.

The manifest is written before the first sample, so that a folder always says what it was meant to be, and again when
everything is on disk, with what was counted. Between the two only the kits' own files grow.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from firmware_host.clock import SECOND_NS, TICK_HZ, MonotonicClock
from firmware_host.errors import ConfigError, PortError, SessionError
from firmware_host.ports import open_ports
from firmware_host.process import AcquisitionProcess
from firmware_host.schedule import Plan, make_sensor
from firmware_host.schedule import plan as plan_kit
from firmware_host.spec import Flag, KitConfig
from recorder import profiles
from recorder.config import CameraConfig, KitFile, read_kit
from recorder.disk import DiskGuard, DiskWatch, expected_bytes_per_s, reserved
from recorder.microphone import WARM_UP_S, open_microphone
from recorder.rawcamera import open_camera
from recorder.record import (
    KitRole,
    LiveKit,
    PlayedKit,
    Recorded,
    kit_device,
    open_writer,
    record_live,
    record_played,
)
from recorder.recover import after_fault
from recorder.session import MANIFEST, Device, Session, open_session
from recorder.terminal import note, progress
from recorder.writer import KitLayout, KitWriter, Latency, SensorLayout

LEAD_S = 4.0
"""From starting the acquisition processes to tick 0: they import, configure their sensors and settle."""
MISSED_FLAGS = tuple(f".{flag.name}" for flag in Flag if flag.missed)


@dataclass(frozen=True)
class Done:
    """A finished recording."""

    session: Session
    notes: tuple[str, ...]
    prepared_s: float | None = None

    def document(self) -> dict[str, Any]:
        """What `record --json` prints."""
        return {
            "session": str(self.session.root),
            "id": self.session.id,
            "devices": [d.name for d in self.session.devices],
            "prepared_s": self.prepared_s,
            "counters": self.session.counters,
        }

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [f"{self.session.root}: {len(self.session.devices)} devices"]
        for kit, counters in self.session.counters.items():
            missed = sum(v for k, v in counters.items() if k.endswith(MISSED_FLAGS))
            readings = sum(v for k, v in counters.items() if k.endswith((".FRESH", ".STALE")))
            lines.append(
                f"  {kit}: {counters['ticks'] / TICK_HZ:.1f} s, {readings} readings, {missed} missed, "
                f"{counters.get('camera.frames', 0)} frames"
            )
        return lines


def plan_of(config: Path) -> list[str]:
    """The plan of a kit file as a table."""
    return plan_kit(read_kit(config).sensors).table().splitlines()


def record_kit(
    folder: Path,
    config: Path,
    *,
    duration_s: float | None,
    activity: str | None,
    participant: str | None,
    place: str | None,
) -> Done:
    """Record hardware until `duration_s` has passed or Ctrl-C.

    Raises:
        ConfigError: the kit file cannot work.
        PortError: a bus, camera or microphone cannot be opened.
        SessionError: the folder already holds a session.
    """
    file = read_kit(config)
    session = new_session(folder, [participant] if participant else [], place, activity)
    kit = live_kit(file)
    ticks = {file.name: round(duration_s * TICK_HZ)} if duration_s else {}
    return seal(session, record_all(session, [kit], ticks))


def live_kit(file: KitFile) -> LiveKit:
    """The kit that a kit file describes, nothing of it opened yet; tick 0 is `LEAD_S` from now.

    Raises:
        ConfigError: its sensors do not fit its lanes.
    """
    learnt = profiles.path_of(file.name)
    sensors = profiles.restored(file.sensors, profiles.load(learnt))
    plan = plan_kit(sensors)
    clock = MonotonicClock()
    camera, microphone = file.camera, file.microphone
    return LiveKit(
        layout=KitLayout(
            file.name,
            sensor_layouts(plan, sensors),
            size=(camera.width, camera.height) if camera else None,
            fps=camera.fps if camera else None,
            sound_hz=microphone.rate_hz if microphone else None,
            warm_up_s=WARM_UP_S,
            camera_latency=_latency(camera) if camera else None,
        ),
        about=KitRole(file.role, file.view, file.wearer, file.tone_distance_m),
        clock=clock,
        t0_ns=clock.now_ns() + round(LEAD_S * SECOND_NS),
        acquisition=AcquisitionProcess(plan, partial(open_ports, sensors), MonotonicClock),
        camera=open_camera(camera, clock) if camera else None,
        microphone=open_microphone(microphone) if microphone else None,
        profiles=learnt,
        disk=file.disk,
        bit_rate=camera.bit_rate if camera else 0,
    )


def _latency(camera: CameraConfig) -> Latency | None:
    if camera.latency_ms is None or camera.latency_sigma_ms is None:
        return None
    return Latency(round(camera.latency_ms * 1e6), round(camera.latency_sigma_ms * 1e6))


def new_session(folder: Path, participants: list[str], place: str | None, activity: str | None) -> Session:
    """A session that is to be recorded into `folder`, which is not touched yet."""
    if (folder / MANIFEST).exists():
        if not open_session(folder).sealed:
            raise SessionError(
                f"{folder} holds an interrupted session; run `syncctl recover {folder}`, and give another folder"
            )
        raise SessionError(f"{folder} already holds a session; give another folder, or remove that one")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder")
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise SessionError(f"{folder} is not empty and holds no session; give a new folder, as {folder / 'first'}")
    return Session(
        root=folder,
        id=folder.resolve().name,
        devices=(),
        participants=tuple(participants),
        place=place,
        activity=activity,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def record_all(
    session: Session,
    kits: Sequence[LiveKit | PlayedKit],
    ticks: dict[str, int],
    stop: threading.Event | None = None,
    make_writer: Callable[[Session, LiveKit | PlayedKit], KitWriter] = open_writer,
) -> list[Recorded]:
    """Record all kits, live ones side by side. The manifest is on disk before the first sample.

    Args:
        session: where to; its folder is made.
        kits: what records.
        ticks: kit -> ticks after which it ends; a live kit may have none.
        stop: ends the recording when it is set, Ctrl-C being the caller's affair then; None for Ctrl-C to end it.
        make_writer: who keeps what a kit gives.
    """
    if stop is None:
        with interruptible() as stop:
            return record_all(session, kits, ticks, stop, make_writer)
    session.root.mkdir(parents=True, exist_ok=True)
    try:
        with reserved(session.root):
            return _record_all(session, kits, ticks, stop, make_writer)
    except (PortError, SessionError):  # nothing was recorded
        with suppress(OSError):
            session.root.rmdir()  # only where it is empty
        raise


def _record_all(
    session: Session,
    kits: Sequence[LiveKit | PlayedKit],
    ticks: dict[str, int],
    stop: threading.Event,
    make_writer: Callable[[Session, LiveKit | PlayedKit], KitWriter],
) -> list[Recorded]:
    watch = _disk_watch(session.root, kits)
    writers = [make_writer(session, kit) for kit in kits]
    begun = [kit_device(writer, kit) for writer, kit in zip(writers, kits, strict=True)]
    replace(session, devices=(*begun, *session.devices)).save()
    side_by_side = len(kits) if any(isinstance(k, LiveKit) for k in kits) else 1
    try:
        with (
            progress("recording", sum(ticks.values())) if ticks else nullcontext(_unseen) as advance,
            ThreadPoolExecutor(side_by_side) as pool,
        ):
            record = partial(_record_one, stop, ticks, advance, watch)
            return list(pool.map(record, kits, writers))
    except PortError:
        forget(session, begun)
        raise


def _unseen(_: float) -> None:
    """How far a recording is that nobody knows the length of."""


def _record_one(
    stop: threading.Event,
    ticks: dict[str, int],
    advance: Callable[[float], None],
    watch: DiskWatch | None,
    kit: LiveKit | PlayedKit,
    writer: KitWriter,
) -> Recorded:
    last, told = 0, []

    def on_tick(now: int) -> None:
        nonlocal last
        advance(max(0, now - last))
        last = max(now, last)
        if watch is not None and (room := watch.check(now / TICK_HZ)):
            told.append(room.sentence())
            writer.event("disk", state=room.state, minutes=round(room.minutes, 2))
            note(f"{kit.layout.name}: {told[-1]}")
            if room.state == "stop":
                stop.set()

    limit = ticks.get(kit.layout.name)
    try:
        if isinstance(kit, LiveKit):
            recorded = record_live(kit, writer, stop, limit, on_tick)
        else:
            recorded = record_played(kit, writer, stop, limit or 0, on_tick)
    except BaseException:
        stop.set()  # its neighbours must not go on without it unseen
        raise
    if recorded.fault is not None:
        stop.set()
    return replace(recorded, notes=[*recorded.notes, *told])


def _disk_watch(root: Path, kits: Sequence[LiveKit | PlayedKit]) -> DiskWatch | None:
    """Watches the disk where kits record in real time. Raises SessionError where it has no room to begin."""
    live = [k for k in kits if isinstance(k, LiveKit)]
    if not live:
        return None
    expected = sum(expected_bytes_per_s(k.layout, k.bit_rate) for k in live)
    limits = live[0].disk
    watch = DiskWatch(root, DiskGuard(limits.warn_minutes, limits.stop_minutes, expected))
    room = watch.look(0.0)
    if room.state == "stop":
        raise SessionError(
            f"{root}: the disk has room for {room.minutes:.1f} minutes, and a recording ends at "
            f"{limits.stop_minutes:g}; free space, or lower stop_minutes under [disk] in the kit file"
        )
    return watch


def forget(session: Session, devices: Sequence[Device]) -> None:
    """Nothing was recorded: leave no folder that looks like a session, and in it whatever was not written here."""
    for name in (MANIFEST, *(d.file for d in devices), *(d.log for d in devices if d.log)):
        session.path(name).unlink(missing_ok=True)


def seal(session: Session, recorded: list[Recorded]) -> Done:
    """Write the manifest as it stays. Raises SessionError where the disk ended the recording; it is sealed then too."""
    counters = {r.device.name: r.counters for r in recorded}
    receipt = {"devices": {r.device.name: {"ticks": r.ticks} for r in recorded}}
    devices: list[Device] = [*(r.device for r in recorded), *session.devices]
    session = replace(session, devices=tuple(devices), sealed=True, counters=counters, receipt=receipt)
    for r in recorded:
        if r.fault is not None:
            raise after_fault(session, r.device.name, r.fault)
    session.save()
    notes = [f"{r.device.name}: {text}" for r in recorded for text in r.notes]
    return Done(session, tuple(notes))


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, instead of tearing the recording down."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sensor_layouts(plan: Plan, kit: KitConfig) -> tuple[SensorLayout, ...]:
    """What the writer must know of a planned kit's sensors, in the order of the kit file."""
    groups = [plan.group(c.name) for c in kit.sensors]
    return tuple(
        SensorLayout(c.name, c.model, make_sensor(c).tracks, g.period, g.phase)
        for c, g in zip(kit.sensors, groups, strict=True)
    )
