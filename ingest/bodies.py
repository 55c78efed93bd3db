"""Bodies of sessions of which nobody knows the truth: from the ten sensors of who wears them, and from a film's tracks.

A tracker's results lie in the session's ``tracks/DEVICE.npz`` (see `ingest.targets.tracks`), for the camera of that
device; its persons are numbers, which somebody may have named by giving the boxes an actor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from firmware_host.clock import SECOND_NS
from ingest import tables
from ingest.ego import frame_size
from ingest.targets.pose import body_pose
from ingest.targets.tracks import read
from recorder.series import Series
from recorder.session import Device, Session

POSE_HZ = 10
FOLDER = "tracks"


def track_rows(
    session: str, actor: str, t_ns: np.ndarray, vector: np.ndarray, measured: np.ndarray, source: str
) -> pa.Table:
    """Rows of `tracks` of one person: (N,) int64 ns, (N, 229) and (N, 24)."""
    count = len(t_ns)
    columns = {
        "session": [session] * count,
        "actor": [actor] * count,
        "t_ns": t_ns,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vector.astype(np.float32).reshape(-1)), tables.VECTOR),
        "measured": pa.FixedSizeListArray.from_arrays(pa.array(measured.reshape(-1)), tables.JOINTS),
        "source": [source] * count,
    }
    return pa.table(columns, schema=tables.SCHEMAS["tracks"])


def worn_tracks(session: Session, series: Mapping[tuple[str, str], Series], known: set[str]) -> Iterator[pa.Table]:
    """The bodies of those who wear sensors and whose body is not known otherwise, `POSE_HZ` times a second.

    Nothing says how each sensor is strapped on, so that it counts as along its segment; where nobody stands, no sensor
    tells, so that place and shape are 0.
    """
    wearers = {d.wearer for d in session.devices if d.wearer and d.wearer not in known}
    for actor in sorted(wearers):
        sensors = {
            stream.sensor: (series[device.name, stream.name].t_ns, series[device.name, stream.name].x)
            for device in session.devices
            if device.wearer == actor
            for stream in device.of_kind("sensor")
            if stream.sensor and stream.name.endswith(".quaternion") and (device.name, stream.name) in series
        }
        times = [t for t, _ in sensors.values() if len(t)]
        if not times:
            continue
        at_ns = np.arange(min(t[0] for t in times), max(t[-1] for t in times), SECOND_NS // POSE_HZ)
        vector, measured = body_pose(sensors, at_ns)
        there = measured.any(axis=1)
        if there.any():
            yield track_rows(session.id, actor, at_ns[there], vector[there], measured[there], "imu")


def film_tracks(session: Session, device: Device, frames_ns: np.ndarray) -> tuple[list[pa.Table], pa.Table]:
    """What a tracker found in a device's film: rows of `tracks` and of `boxes`; nothing without its file.

    Args:
        frames_ns: (N,) int64, when each frame was taken, on the reference clock.

    Raises:
        SessionError: the file is damaged, or of another film.
    """
    path = session.root / FOLDER / f"{device.name}.npz"
    if not path.is_file():
        return [], tables.SCHEMAS["boxes"].empty_table()
    found = read(path, frames_ns, frame_size(session, device, device.of_kind("video")[0]))
    tracks, boxes = [], []
    for number in np.unique(found.track).tolist():
        mine = found.track == number
        seen = np.ones((int(mine.sum()), tables.JOINTS), bool)
        tracks.append(track_rows(session.id, str(number), found.t_ns[mine], found.pose[mine], seen, FOLDER))
    for t_ns, who, box, score in zip(found.t_ns, found.track, found.box, found.score, strict=True):
        corners: dict[str, Any] = dict(zip(("x1", "y1", "x2", "y2"), box.tolist(), strict=True))
        said = {"session": session.id, "device": device.name, "t_ns": int(t_ns), "actor": str(who), "source": FOLDER}
        boxes.append({**said, **corners, "score": float(score)})
    return tracks, tables.table("boxes", sorted(boxes, key=lambda b: (b["t_ns"], b["actor"])))
