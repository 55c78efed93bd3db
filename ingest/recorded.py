"""What the devices of a session recorded, as rows: streams, frames, GOPs, and samples on the reference clock."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from firmware_host.clockmap import ClockMap
from ingest import tables
from ingest.ego import Aligned
from ingest.index import VideoIndex, video_index
from ingest.sounds import sound_name, write_mels
from recorder.samples import frame_times_ns, native_series
from recorder.series import Series
from recorder.session import Device, Session, Stream

UNKNOWN_HZ = 30.0
"""Of a film that does not say: how long its last picture is taken to last."""

HEARD = ("third", "ego")
"""Roles of devices whose sound becomes a log-mel picture."""
PART_TABLES = ("sessions", "streams", "gops", "frames", "targets", "labels", "boxes", "tracks", "relations")


@dataclass
class Recorded:
    """What has been read of a session so far.

    Attributes:
        rows: table -> its rows, in parts.
        series: (device, stream) -> samples on the reference clock.
        video: (device, stream) -> its index, and (N,) int64 ns on the reference clock.
        spans: from when to when each stream lasts, ns on the reference clock.
    """

    rows: dict[str, list[pa.Table]] = field(default_factory=lambda: {name: [] for name in PART_TABLES})
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    video: dict[tuple[str, str], tuple[VideoIndex, np.ndarray]] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def span_ns(self) -> tuple[int, int]:
        """From the first sample or frame to the last; nothing where there is none."""
        return (min(a for a, _ in self.spans), max(b for _, b in self.spans)) if self.spans else (0, 0)


def read_devices(aligned: Aligned, out: Path) -> Recorded:
    """Read every device of a session.

    Args:
        out: the dataset root; samples and log-mel pictures are written there at once.

    Raises:
        SessionError: a file cannot be read.
    """
    found = Recorded()
    for device, to_reference in aligned.devices:
        _read_device(aligned.session, device, to_reference, found, out)
    found.rows["sessions"].append(tables.table("sessions", [_session_row(aligned, out, found)]))
    return found


def relative(path: Path, out: Path) -> str:
    """A path as the dataset's tables have it: from the root, so that both can move together."""
    return os.path.relpath(path.resolve(), out.resolve())


def _read_device(session: Session, device: Device, to_reference: ClockMap, found: Recorded, out: Path) -> None:
    """Add one device's streams, frames, GOPs and samples; the samples are written at once."""
    for name, native in native_series(session, device).items():
        t_ns = to_reference.forward(native.t_ns)
        series = Series(t_ns, native.x, native.fresh, native.channels, to_reference.target)
        tables.write_series(tables.series_path(out, session.id, device.name, name), series, native.t_ns)
        found.series[device.name, name] = series
        if len(t_ns):
            found.spans.append((int(t_ns[0]), int(t_ns[-1])))
    streams = []
    for stream in device.streams:
        row = _stream_row(session, device, stream, to_reference, out)
        if stream.kind == "video":
            row |= _read_video(session, device, stream, to_reference, found)
        elif stream.kind == "audio" and device.role in HEARD:
            rows, t0_ns, t1_ns = write_mels(session, device, out / sound_name(session.id, device.name))
            row |= {"count": rows, "t0_ns": to_reference.forward(t0_ns), "t1_ns": to_reference.forward(t1_ns)}
        elif (device.name, stream.name) in found.series:
            times = found.series[device.name, stream.name].t_ns
            row |= {"count": len(times), "t1_ns": int(times[-1]) if len(times) else None}
        streams.append(row)
    found.rows["streams"].append(tables.table("streams", streams))


def _read_video(
    session: Session, device: Device, stream: Stream, to_reference: ClockMap, found: Recorded
) -> dict[str, Any]:
    index = video_index(session.path(device.file))
    t_device_ns = frame_times_ns(session, device)[: index.end_frame]
    t_ns = to_reference.forward(t_device_ns)
    n = len(t_ns)
    found.video[device.name, stream.name] = index, t_ns
    which = {"session": session.id, "device": device.name, "stream": stream.name}
    frames = {"frame": np.arange(n), "t_device_ns": t_device_ns, "t_ns": t_ns}
    found.rows["frames"].append(tables.columns("frames", frames, **which))
    period_ns = round(1e9 / (stream.rate_hz or UNKNOWN_HZ))
    ends = np.append(t_device_ns, t_device_ns[-1] + period_ns) if n else t_device_ns
    gops = [
        {
            **which,
            "t0_device_ns": int(ends[g.first_frame]),
            "t1_device_ns": int(ends[min(n, g.first_frame + g.frames)]),
            "start": g.start,
            "stop": g.stop,
            "first_frame": g.first_frame,
            "frames": min(n - g.first_frame, g.frames),
        }
        for g in index.gops
        if g.first_frame < n
    ]
    found.rows["gops"].append(tables.table("gops", gops))
    if n:
        found.spans.append((int(t_ns[0]), int(t_ns[-1]) + period_ns))
    t1_ns = int(t_ns[-1]) + period_ns if n else None
    return {"count": n, "t1_ns": t1_ns, "container": index.container, "header_stop": index.header_stop}


def _stream_row(session: Session, device: Device, stream: Stream, to_reference: ClockMap, out: Path) -> dict[str, Any]:
    file = device.gaze if stream.kind == "gaze" and device.gaze else device.file
    width, height = stream.size or (None, None)
    return {
        "session": session.id,
        "device": device.name,
        "role": device.role,
        "device_kind": device.kind,
        "wearer": device.wearer,
        "clock": device.clock,
        "name": stream.name,
        "kind": stream.kind,
        "sensor": stream.sensor,
        "model": stream.model,
        "rate_hz": stream.rate_hz,
        "native_hz": stream.native_hz,
        "width": width,
        "height": height,
        "file": relative(session.path(file), out),
        "t0_device_ns": stream.t0_ns,
        "t0_ns": to_reference.forward(stream.t0_ns),
    }


def _session_row(aligned: Aligned, out: Path, found: Recorded) -> dict[str, Any]:
    session = aligned.session
    first, last = found.span_ns
    return {
        "id": session.id,
        "participants": list(session.participants),
        "place": session.place,
        "activity": session.activity,
        "created": session.created,
        "duration_ns": last - first,
        "sealed": session.sealed,
        "reference": aligned.alignment.reference,
        "folder": relative(session.root, out),
    }
