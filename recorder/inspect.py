"""What a session holds: durations, missed readings, timing, and what an interruption cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ
from firmware_host.errors import SessionError
from firmware_host.spec import Flag
from recorder import demux
from recorder.log import being_written, read_log
from recorder.samples import picture_times_ns
from recorder.session import Device, Session, Stream

TIMED = (Flag.FRESH, Flag.STALE, Flag.NOT_READY, Flag.NACK, Flag.TIMEOUT, Flag.CORRUPT)
"""Flags of rows in which a transfer was started, so that its deviation means something."""


@dataclass(frozen=True)
class StreamReport:
    """One stream. Sensor streams carry what their sensor's timing track says; see design section 6."""

    device: str
    name: str
    kind: str
    rate_hz: float
    duration_s: float
    missed: int = 0
    held: int = 0
    flags: dict[str, int] | None = None
    deviation_ms: dict[str, float] | None = None

    def document(self) -> dict[str, Any]:
        """The JSON object of one stream; what does not apply is left out."""
        return {k: v for k, v in self.__dict__.items() if v is not None}


@dataclass(frozen=True)
class SessionReport:
    """All streams of a session, and whether it is whole."""

    complete: bool
    recovered: bool
    lost_s: float
    streams: tuple[StreamReport, ...]
    counters: dict[str, Any]
    warnings: tuple[str, ...]


def inspect_session(session: Session) -> SessionReport:
    """Read every stream of a session and judge it.

    A stream that cannot be read is a warning, not an error: what is left of the others is still told.
    """
    recovered = session.receipt.get("recovered")
    streams: list[StreamReport] = []
    warnings = [f"{name}: {why}" for name, why in (recovered or {}).get("never_written", {}).items()]
    lost_s = 0.0
    for device in session.devices:
        try:
            reports = device_reports(session, device)
        except SessionError as error:
            warnings.append(str(error))
            continue
        streams += reports
        if device.kind == "kit":
            warnings += [f"{device.name}: the {r.name} recorded nothing" for r in reports if not r.duration_s]
            _, lost = lost_by_stream(session, device, reports)
            worst = max(lost.values(), default=0.0)
            if session.sealed and not recovered and worst > 1 / TICK_HZ:
                warnings.append(f"{device.file} is {worst:.2f} s shorter than it was when it was sealed")
            lost_s = max(lost_s, worst)
    if recovered or (not session.sealed and any(d.kind == "kit" for d in session.devices)):
        state = "interrupted and recovered" if recovered else _unsealed(session)
        warnings.insert(0, f"the recording was {state}: up to {lost_s:.2f} s of a stream are lost at its end")
    return SessionReport(
        complete=session.sealed and not recovered and not warnings,
        recovered=bool(recovered),
        lost_s=round(lost_s, 3),
        streams=tuple(streams),
        counters=session.counters,
        warnings=tuple(warnings),
    )


def lost_by_stream(session: Session, device: Device, reports: list[StreamReport]) -> tuple[float, dict[str, float]]:
    """When a kit gave its last sign of life, in seconds since its tick 0; and what each stream lacks of that.

    For a session that was sealed at the end of its recording, that is what the receipt says, and its camera and
    microphone are left out: they end when they end.
    """
    ends = {
        s.name: (s.t0_ns - _tick0_ns(device)) / SECOND_NS + r.duration_s
        for s, r in zip(device.streams, reports, strict=True)
    }
    recovered = bool(session.receipt.get("recovered"))
    if session.sealed and not recovered:
        ends = {n: e for n, e in ends.items() if not n.startswith(("camera", "microphone"))}
    if session.sealed:
        last_s = session.receipt.get("devices", {}).get(device.name, {}).get("ticks", 0) / TICK_HZ
    else:
        log = read_log(session.path(device.log)) if device.log else ()
        ticks = [e["tick"] / TICK_HZ for e in log if e.get("type") == "tick"]
        last_s = max([*ends.values(), *ticks[-1:]], default=0.0)
    return last_s, {n: round(max(0.0, last_s - e), 3) for n, e in ends.items()}


def _unsealed(session: Session) -> str:
    logs = [session.path(d.log) for d in session.devices if d.log]
    return "not ended: it is being recorded now" if any(map(being_written, logs)) else "interrupted"


def device_reports(session: Session, device: Device) -> list[StreamReport]:
    """A report of each of a device's streams, in their order. Raises SessionError where its file cannot be read."""
    path = session.path(device.file)
    if device.kind != "kit":
        return [_imported(session, device, s) for s in device.streams]
    names = [s.name for s in device.streams if s.kind in ("sensor", "timing")]
    rows = demux.read_rows(path, names)
    return [_kit_stream(session, device, stream, rows) for stream in device.streams]


def _kit_stream(session: Session, device: Device, stream: Stream, rows: dict[str, np.ndarray]) -> StreamReport:
    base = _named(device, stream)
    if stream.kind == "audio":
        try:
            samples = sum(len(block.x) for block in demux.sound_blocks(session.path(device.file)))
            duration_s = samples / stream.rate_hz
        except SessionError:  # not one whole block of it; the rest of the kit is still to be told
            duration_s = 0.0
        return StreamReport(**base, duration_s=round(duration_s, 3))
    if stream.kind == "video":
        timing = rows.get(f"{stream.name}.timing")
        if timing is None:  # the camera never gave a keyframe; the rest of the kit is still to be told
            return StreamReport(**base, duration_s=0.0)
        times = picture_times_ns(stream.t0_ns, timing)
        shown_ns = demux.container_frame_times_ns(session.path(device.file))
        span_s = (int(shown_ns[-1]) - int(shown_ns[0])) / SECOND_NS + 1 / stream.rate_hz if len(shown_ns) else 0.0
        return StreamReport(**base, duration_s=round(span_s, 3), missed=_frames_missed(times, stream))
    found = rows.get(stream.name, np.empty((0, 3), np.int32))
    duration_s = round(len(found) / stream.rate_hz, 3)
    if stream.kind == "timing" and stream.sensor is None:
        return StreamReport(**base, duration_s=duration_s)
    timing = rows.get(f"{stream.sensor}.timing", np.empty((0, 3), np.int32))
    return StreamReport(**base, duration_s=duration_s, **_timing(timing))


def _named(device: Device, stream: Stream) -> dict[str, Any]:
    """What every report of a stream begins with."""
    return {
        "device": device.name,
        "name": stream.name,
        "kind": stream.kind,
        "rate_hz": round(stream.rate_hz, 4),
    }


def _timing(timing: np.ndarray) -> dict[str, Any]:
    flags = timing[:, 2]
    counts = {f.name: int((flags == f).sum()) for f in Flag if (flags == f).any()}
    return {
        "missed": sum(counts.get(f.name, 0) for f in Flag if f.missed),
        "held": counts.get("HELD", 0),
        "flags": counts,
        "deviation_ms": _deviation_ms(timing[np.isin(flags, TIMED), 1]),
    }


def _deviation_ms(microseconds: np.ndarray) -> dict[str, float] | None:
    if not len(microseconds):
        return None
    size = np.abs(microseconds) / 1000
    return {
        "mean_abs": round(float(size.mean()), 4),
        "p99": round(float(np.quantile(size, 0.99)), 4),
        "p999": round(float(np.quantile(size, 0.999)), 4),
        "max": round(float(size.max()), 4),
    }


def _frames_missed(times_ns: np.ndarray, stream: Stream) -> int:
    if len(times_ns) < 2:
        return 0
    periods = np.diff(times_ns) * stream.rate_hz / SECOND_NS
    return int(np.maximum(np.rint(periods) - 1, 0).sum())


def _imported(session: Session, device: Device, stream: Stream) -> StreamReport:
    path = session.path(device.file)
    base = _named(device, stream)
    if stream.kind == "audio":
        seconds = sum(block.duration_s for block in demux.sound_blocks(path))
        return StreamReport(**base, duration_s=round(seconds, 3))
    if stream.kind == "video":
        frames = len(demux.container_frame_times_ns(path))
        return StreamReport(**base, duration_s=round(frames / stream.rate_hz, 3) if stream.rate_hz else 0.0)
    if stream.kind != "gaze":  # in a table that its importer made, and told the length of
        return StreamReport(**base, duration_s=float(device.settings.get(stream.name, {}).get("duration_s", 0.0)))
    with session.path(device.gaze or "").open(encoding="utf-8") as lines:
        rows = sum(1 for _ in lines) - 1
    return StreamReport(**base, duration_s=round(rows / stream.rate_hz, 3) if stream.rate_hz else 0.0)


def _tick0_ns(device: Device) -> int:
    return next((s.t0_ns for s in device.streams if s.kind == "sensor"), device.streams[0].t0_ns)


def table(session: Session, report: SessionReport) -> list[str]:
    """The report for people: warnings first, then one line a camera, microphone and sensor."""
    lines = [f"warning: {w}" for w in report.warnings]
    state = "complete" if report.complete else "recovered" if report.recovered else "incomplete"
    who = " ".join(filter(None, [session.activity, *session.participants, session.place]))
    lines.append(f"{session.id}: {state}{f' ({who})' if who else ''}")
    lines.append(f"{'':24}{'rate Hz':>11}{'s':>9}{'missed':>8}   |deviation| ms: mean   p99.9     max")
    native = {(d.name, s.sensor): s.native_hz for d in session.devices for s in d.of_kind("sensor")}
    for stream in report.streams:
        if stream.kind == "sensor" or stream.name == "camera.timing":
            continue  # a sensor's line is the one of its timing track
        name = stream.name.removesuffix(".timing")
        rate = native.get((stream.device, name)) or stream.rate_hz
        line = f"{stream.device:8}{name:16}{rate:11.3f}{stream.duration_s:9.2f}"
        line += f"{stream.missed:8d}" if stream.flags or stream.kind == "video" else ""
        if stream.deviation_ms:
            deviation = stream.deviation_ms
            line += f"{deviation['mean_abs']:24.3f}{deviation['p999']:8.3f}{deviation['max']:8.3f}"
        lines.append(line)
    receipts = [_receipt(kit, counters) for kit, counters in report.counters.items()]
    return lines + [receipt for receipt in receipts if receipt]


def _receipt(kit: str, counters: Any) -> str | None:
    """What became of a camera's pictures; None where the camera gave no receipt."""
    if not isinstance(counters, dict) or "camera.made" not in counters:
        return None
    made, encoded = counters["camera.made"], counters.get("camera.encoded", 0)
    written, before = counters.get("camera.frames", 0), counters.get("camera.passed_over", 0)
    lost = made - written - before
    return (
        f"{kit} camera: {made} pictures made, {encoded} encoded, {written} in the file, {before} passed over before it "
        f"began, {max(0, lost)} lost"
    )
