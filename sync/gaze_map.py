"""Gaze of a session's eye trackers on the frames of its ego cameras: the edge around `sync.gaze`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from firmware_host.errors import EvidenceError, SessionError
from recorder import demux
from recorder.samples import frame_times_ns
from recorder.session import Device, Session
from recorder.terminal import progress
from sync.alignment import Alignment, GazeMap
from sync.gaze.films import Film, carried, find_rig
from sync.gaze.lens import Lens
from sync.gaze.table import VERDICTS, Row, read_gaze, write_rows

EVERY = 5


def gaze_pairs(session: Session) -> list[tuple[Device, Device]]:
    """Every (eye tracker, ego camera) that one person may wear, with pictures on both sides and a gaze table."""
    eyes = [d for d in session.devices if d.gaze and d.of_kind("video")]
    egos = [d for d in session.devices if d.role == "ego" and d.of_kind("video")]
    return [(eye, ego) for eye in eyes for ego in egos if eye.name != ego.name and _may_share_a_head(eye, ego)]


def _may_share_a_head(eye: Device, ego: Device) -> bool:
    return not (eye.wearer and ego.wearer) or eye.wearer == ego.wearer


def map_gaze(session: Session, alignment: Alignment) -> Alignment:
    """Write a table for every pair whose clocks are aligned, and note it in the alignment.

    It is ``gaze_<ego>.csv``, and ``gaze_<ego>_<eye>.csv`` for a second tracker on that camera.
    """
    maps, warnings, named = [], list(alignment.warnings), set()
    for eye, ego in gaze_pairs(session):
        who = f"gaze of {eye.name} on {ego.name}"
        try:
            rows, doubts = rows_for(session, alignment, eye, ego)
        except (EvidenceError, SessionError) as error:
            warnings.append(f"{who}: {error}")
            continue
        name = f"gaze_{ego.name}_{eye.name}.csv" if ego.name in named else f"gaze_{ego.name}.csv"
        named.add(ego.name)
        write_rows(session.path(name), rows)
        count = Counter(r.verdict for r in rows)
        maps.append(GazeMap(eye.name, ego.name, name, {v: count[v] for v in VERDICTS}))
        if count["refused"] > len(rows) / 2:
            doubts = [*doubts, "more than half of the frames were refused"]
        warnings += [f"{who}: {doubt}" for doubt in doubts]
    return replace(alignment, gaze=tuple(maps), warnings=tuple(warnings))


def rows_for(session: Session, alignment: Alignment, eye: Device, ego: Device) -> tuple[list[Row], list[str]]:
    """One row for every `EVERY`-th frame of the ego camera, `t_ns` on the ego camera's clock, and what to warn of.

    Raises:
        EvidenceError: a clock was not aligned.
        SessionError: a film or the gaze table cannot be read.
    """
    if eye.gaze is None:
        raise SessionError(f"{eye.name} has no gaze table")
    to_reference = alignment.to_reference(ego.clock)
    from_reference = alignment.to_reference(eye.clock)
    gaze = read_gaze(session.path(eye.gaze))
    head, scene = _film(session, ego), _film(session, eye)
    ego_ns = head.t_ns
    head = replace(head, t_ns=from_reference.inverse(to_reference.forward(ego_ns)))
    doubts = []
    if gaze.disordered:
        doubts.append(f"the gaze table goes back in time {gaze.disordered} times; its rows were sorted")
    with progress(f"gaze on {ego.name}", total=1.1 * len(ego_ns)) as done:
        try:
            rig = find_rig(scene, head, lambda share: done(0.1 * share * len(ego_ns)))
        except EvidenceError as error:
            rig = None
            doubts.append(f"by one homography, which is off by parallax for near things: {error}")
        rows = list(carried(scene, head, gaze, rig, EVERY, done))
    own = dict(zip(head.t_ns.tolist(), ego_ns.tolist(), strict=True))
    return [replace(row, t_ns=own[row.t_ns]) for row in rows], doubts


def _film(session: Session, device: Device) -> Film:
    """A device's film; `t_ns` on its own clock."""
    path = session.path(device.file)
    t_ns, pts_ns = frame_times_ns(session, device), demux.container_frame_times_ns(path)
    count = min(len(t_ns), len(pts_ns))
    size = device.of_kind("video")[0].size
    if size is None:
        raise SessionError(f"{device.name}: the manifest does not say how large its pictures are")
    if not count:
        raise SessionError(f"{path} holds no pictures")
    _, first = np.unique(pts_ns[:count], return_index=True)
    lens = Lens.from_json(device.intrinsics, device.name) if device.intrinsics else None
    return Film(path, pts_ns[first], t_ns[first], size, lens)
