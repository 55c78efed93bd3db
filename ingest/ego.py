"""What the sensors say at every sixth of a second of a head camera's video.

Three devices meet here on one clock: the head camera gives the moments, the body sensors of who wears it the
movement, and the gaze table of `syncctl align` where that person looked in the camera's own pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from ingest import tables
from ingest.clips import GAZE_REACH_NS, nearest_within, steps
from ingest.index import VideoIndex
from ingest.splits import UNKNOWN
from ingest.targets import GROUPS, MEMBERS, movement, normalised_gaze
from recorder.series import Series
from recorder.session import Device, Session, Stream, open_session
from sync import alignment
from sync.alignment import Alignment
from sync.gaze import read_rows

CHAPTERS = ".ffconcat"
IN_CHAPTERS = (
    "its film is in chapters, of which a dataset cannot read clips; join them without encoding and add the film"
)
NOT_ALIGNED = "it has no place on the reference clock"
_SENSOR_NAMES = frozenset(name for members in MEMBERS.values() for name in members)


@dataclass(frozen=True)
class Aligned:
    """A session, its devices that have a map to the reference clock, and why others are left out, by their names."""

    session: Session
    alignment: Alignment
    devices: tuple[tuple[Device, ClockMap], ...]
    left_out: dict[str, str]


def open_aligned(folder: Path) -> Aligned:
    """Open a session that `syncctl align` has been over.

    Raises:
        SessionError: no session, not aligned, or aligned without its head camera.
    """
    session = open_session(folder)
    found = alignment.load(folder)
    devices, left_out = [], {}
    for device in session.devices:
        if device.file.endswith(CHAPTERS):
            left_out[device.name] = IN_CHAPTERS
            continue
        try:
            devices.append((device, found.to_reference(device.clock)))
        except EvidenceError as error:
            if device.role == "ego":
                raise SessionError(f"{folder}: the head camera has no place on the reference clock: {error}") from None
            left_out[device.name] = NOT_ALIGNED
    return Aligned(session, found, tuple(devices), left_out)


def measured(
    aligned: Aligned,
    device: Device,
    video: Mapping[tuple[str, str], tuple[VideoIndex, np.ndarray]],
    series: Mapping[tuple[str, str], Series],
) -> Iterator[pa.Table]:
    """Rows of the `targets` table for each video of one head camera.

    Args:
        video: (device, stream) -> its index, and its frame times (N,) int64 ns on the reference clock.
        series: (device, stream) -> samples on the reference clock.

    Raises:
        SessionError: the gaze table cannot be read.
    """
    session = aligned.session
    sensors = _worn_sensors(aligned, device, series)
    gaze_t_ns, gaze_px = _gaze(aligned, device)
    for stream in device.of_kind("video"):
        index, t_ns = video[device.name, stream.name]
        if not index.gops:
            continue
        first_gaze = int(nearest_within(t_ns, gaze_t_ns[:1], GAZE_REACH_NS).max(initial=0))
        first = max(index.gops[0].first_frame, first_gaze)  # the steps then fall on frames whose gaze is known
        frame, run = steps(t_ns, first)
        at_ns = t_ns[frame]
        nearest = nearest_within(gaze_t_ns, at_ns, GAZE_REACH_NS)
        gaze = np.full((len(at_ns), 2), np.nan, np.float32)
        gaze[nearest >= 0] = normalised_gaze(gaze_px[nearest[nearest >= 0]], frame_size(session, device, stream))
        degrees = movement(sensors, at_ns)
        values = {"run": run, "frame": frame, "t_ns": at_ns, "gaze_x": gaze[:, 0], "gaze_y": gaze[:, 1]}
        values |= {f"deg_{group}": degrees[:, i] for i, group in enumerate(GROUPS)}
        participant = device.wearer or (session.participants[0] if len(session.participants) == 1 else UNKNOWN)
        yield tables.columns("targets", values, session=session.id, device=device.name, participant=participant)


def _worn_sensors(
    aligned: Aligned, ego: Device, series: Mapping[tuple[str, str], Series]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Orientations of the body sensors worn by who wears the head camera: name -> (t_ns, quaternions)."""
    sensors = {}
    for device, _ in aligned.devices:
        if ego.wearer and device.wearer and device.wearer != ego.wearer:
            continue
        for stream in device.of_kind("sensor"):
            samples = series.get((device.name, stream.name))
            if stream.sensor in _SENSOR_NAMES and stream.name.endswith(".quaternion") and samples:
                sensors[stream.sensor] = samples.t_ns, samples.x
    return sensors


def _gaze(aligned: Aligned, device: Device) -> tuple[np.ndarray, np.ndarray]:
    """Gaze in a head camera's frames: (N,) int64 ns on the reference clock, (N, 2) float64 pixels, NaN missing.

    Of several tables, as of a tracker that was started twice, each frame has the gaze of the one that has any.
    """
    found: dict[int, tuple[float, float]] = {}
    for table in (g.file for g in aligned.alignment.gaze if g.target == device.name):
        for row in read_rows(aligned.session.path(table)):
            if row.verdict in ("ok", "homography") and row.x_px is not None and row.y_px is not None:
                found[row.t_ns] = row.x_px, row.y_px
            else:
                found.setdefault(row.t_ns, (np.nan, np.nan))
    rows = sorted(found.items())
    times = aligned.alignment.to_reference(device.clock).forward(np.array([t_ns for t_ns, _ in rows], np.int64))
    return times, np.array([px for _, px in rows], np.float64).reshape(-1, 2)


def frame_size(session: Session, device: Device, stream: Stream) -> tuple[int, int]:
    """(width, height) of a video in pixels; SessionError where the manifest does not say."""
    if stream.size is None:
        raise SessionError(f"{session.root}: {device.name}.{stream.name} has no size in session.json; add it again")
    return stream.size
