"""Gaze of a session's eye trackers on the frames of its ego cameras: the edge around `sync.gaze`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from firmware_host.errors import EvidenceError, SessionError
from recorder import demux
from recorder.session import Device, Session
from recorder.terminal import progress
from sync.alignment import Alignment, GazeMap
from sync.gaze import VERDICTS, WIDTH, Row, carry, read_gaze, write_rows

EVERY = 5


def gaze_pairs(session: Session) -> list[tuple[Device, Device]]:
    """Every (eye tracker, ego camera) with pictures on both sides and a gaze table."""
    eyes = [d for d in session.devices if d.gaze and d.of_kind("video")]
    egos = [d for d in session.devices if d.role == "ego" and d.of_kind("video")]
    return [(eye, ego) for eye in eyes for ego in egos if eye.name != ego.name]


def map_gaze(session: Session, alignment: Alignment) -> Alignment:
    """Write ``gaze_<ego>.csv`` for every pair whose clocks are aligned, and note it in the alignment."""
    maps, warnings = [], list(alignment.warnings)
    for eye, ego in gaze_pairs(session):
        try:
            rows = rows_for(session, alignment, eye, ego)
        except (EvidenceError, SessionError) as error:
            warnings.append(f"gaze of {eye.name} on {ego.name}: {error}")
            continue
        name = f"gaze_{ego.name}.csv"
        write_rows(session.path(name), rows)
        count = Counter(r.verdict for r in rows)
        maps.append(GazeMap(eye.name, ego.name, name, {v: count[v] for v in VERDICTS}))
        if count["refused"] > len(rows) / 2:
            warnings.append(f"gaze of {eye.name} on {ego.name}: more than half of the frames were refused")
    return replace(alignment, gaze=tuple(maps), warnings=tuple(warnings))


def rows_for(session: Session, alignment: Alignment, eye: Device, ego: Device) -> list[Row]:
    """One row for every `EVERY`-th frame of the ego camera, `t_ns` on the ego camera's clock."""
    to_reference = alignment.to_reference(ego.clock)
    from_reference = alignment.to_reference(eye.clock)
    if eye.gaze is None:
        raise SessionError(f"{eye.name} has no gaze table")
    ego_ns = demux.frame_times_ns(session, ego)
    eye_ns = from_reference.inverse(to_reference.forward(ego_ns))
    scene_ns = demux.frame_times_ns(session, eye)
    with progress(f"gaze on {ego.name}", total=len(ego_ns[::EVERY])) as done:
        rows = carry(
            _timed(session, eye, scene_ns, 1),
            _timed(session, ego, eye_ns, EVERY),
            read_gaze(session.path(eye.gaze)),
            _size(eye),
            _size(ego),
            done=done,
        )
    return [replace(row, t_ns=int(t)) for row, t in zip(rows, ego_ns[::EVERY], strict=False)]


def _timed(session: Session, device: Device, t_ns: np.ndarray, every: int) -> Iterator[tuple[int, np.ndarray]]:
    width = min(WIDTH, _size(device)[0])
    for index, _, image in demux.video_frames(session.path(device.file), width=width, every=every):
        if index < len(t_ns):
            yield int(t_ns[index]), image


def _size(device: Device) -> tuple[int, int]:
    size = device.of_kind("video")[0].size
    if size is None:
        raise SessionError(f"{device.name}: the manifest does not say how large its pictures are")
    return size
