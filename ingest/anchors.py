"""Where the clips of a session are: their starts, and whom each is about.

A pure function of the tables, so that clip number i is the same whoever counts; an index of a dataset is fourteen bytes
a clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ingest.ask import ACTIVITY, Ask
from ingest.rows import Rows

PICTURES = ("ego", "third")


def focus(streams: Sequence[Mapping[str, Any]], participants: Sequence[str]) -> str | None:
    """Whom a session is about: who wears the head camera, else the first participant; None where nobody is named."""
    worn = next((s["wearer"] for s in streams if s["role"] == "ego" and s["wearer"]), None)
    return worn or (participants[0] if participants else None)


def camera(streams: Sequence[Mapping[str, Any]], role: str) -> Mapping[str, Any] | None:
    """The video of a role that a session's clips show: of the first device by name."""
    videos = sorted((s for s in streams if s["role"] == role and s["kind"] == "video"), key=lambda s: s["device"])
    return videos[0] if videos else None


def anchors(rows: Rows, session: str, ask: Ask) -> tuple[np.ndarray, np.ndarray]:
    """Clips of one session, by time.

    Returns:
        (K,) int64 starts, ns on the reference clock; (K,) int16 whom each is about, as a place in the session's tracks'
        actors in alphabetical order, -1 for its focus.
    """
    if ask.at == "activity":
        starts = _in_labels(rows, session, ask)
    elif ask.at == "boxes":
        starts = _on_boxes(rows, session, ask)
    elif ask.at == "person":
        return _of_people(rows, session, ask)
    else:
        starts = _every(*_span(rows, session, ask), ask)
    return starts, np.full(len(starts), -1, np.int16)


def actors(rows: Rows, session: str) -> list[str]:
    """Everybody who has a track in a session, in alphabetical order."""
    return sorted(set(rows.of("tracks", session, ["actor"])["actor"].to_pylist()))


def _span(rows: Rows, session: str, ask: Ask) -> tuple[int, int]:
    """When all the cameras that are asked for run; without one, when anything does."""
    streams = rows.of("streams", session).to_pylist()
    shown = [camera(streams, role) for role in PICTURES if ask.wants(role)]
    needed = [s for s in shown if s is not None and s["t1_ns"] is not None]
    if needed:
        return max(s["t0_ns"] for s in needed), min(s["t1_ns"] for s in needed)
    timed = [s for s in streams if s["t1_ns"] is not None]
    return (min(s["t0_ns"] for s in timed), max(s["t1_ns"] for s in timed)) if timed else (0, 0)


def _every(t0_ns: int, t1_ns: int, ask: Ask) -> np.ndarray:
    return np.arange(t0_ns, t1_ns - ask.span_ns + 1, ask.stride_ns, dtype=np.int64)


def _in_labels(rows: Rows, session: str, ask: Ask) -> np.ndarray:
    """Clips within each activity of the session's focus; one that is shorter than a clip is in its middle."""
    first, last = _span(rows, session, ask)
    streams = rows.of("streams", session).to_pylist()
    who = focus(streams, rows.of("sessions", session)["participants"].to_pylist()[0])
    found: set[int] = set()
    for label in rows.of("labels", session, ["tier", "t0_ns", "t1_ns", "actor"]).to_pylist():
        if label["tier"] != ACTIVITY or label["actor"] not in (who, None):
            continue
        t0_ns, t1_ns = max(first, label["t0_ns"]), min(last, label["t1_ns"])
        inside = _every(t0_ns, t1_ns, ask).tolist()
        found.update(inside or ([t0_ns + (t1_ns - t0_ns - ask.span_ns) // 2] if t1_ns > t0_ns else []))
    return np.array(sorted(found), np.int64)


def _on_boxes(rows: Rows, session: str, ask: Ask) -> np.ndarray:
    shown = camera(rows.of("streams", session).to_pylist(), ask.view)
    if shown is None:
        return np.empty(0, np.int64)
    boxes = rows.of("boxes", session, ["device", "t_ns"])
    moments = np.unique(boxes["t_ns"].to_numpy()[np.array(boxes["device"].to_pylist(), object) == shown["device"]])
    kept: list[int] = []
    for moment in moments.tolist():
        if not kept or moment - kept[-1] >= ask.stride_ns:
            kept.append(moment)
    return np.array(kept, np.int64) - ask.frames // 2 * ask.step_ns


def _of_people(rows: Rows, session: str, ask: Ask) -> tuple[np.ndarray, np.ndarray]:
    found = rows.of("tracks", session, ["actor", "t_ns"])
    who, t_ns = np.array(found["actor"].to_pylist(), object), found["t_ns"].to_numpy()
    parts = []
    for number, actor in enumerate(sorted(set(who.tolist()))):
        mine = t_ns[who == actor]
        starts = _every(int(mine.min()), int(mine.max()) + ask.step_ns, ask)
        parts.append(np.stack([starts, np.full(len(starts), number, np.int64)]))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int16)
    every = np.concatenate(parts, axis=1)
    every = every[:, np.lexsort((every[1], every[0]))]
    return every[0], every[1].astype(np.int16)
