"""What is to be learned of a clip: where somebody looked, what moved, and what people called it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ingest.anchors import camera
from ingest.ask import ACTIVITY, ATOMIC, EVENTS, PRESENCE
from ingest.clips import GAZE_REACH_NS, degrees
from ingest.moments import index_at
from ingest.targets import GREY, GROUPS, STEP_NS, Thirds
from ingest.view.session import Arrays, SessionRows

WATCH_EVENTS, WATCHES_PRESENCE = ("tsl2591", "bme680"), "ak9753"
"""Chips by which events of a room and people in it are known (`ingest.events`)."""


class Said:
    """The kinds ``gaze``, ``move``, ``activity``, ``atomic``, ``events`` and ``presence`` of one session."""

    def __init__(self, of: SessionRows) -> None:
        self._of = of

    def gaze(self, moments: np.ndarray, actor: str | None) -> Arrays:
        t_ns, gaze, _ = self._targets
        known = self._of.focus == actor
        index = index_at(t_ns, moments, "nearest", GAZE_REACH_NS) if known else np.full(len(moments), -1)
        valid = (index >= 0) & np.isfinite(gaze[index]).all(axis=1) if len(t_ns) else np.zeros(len(moments), bool)
        out = np.zeros((len(moments), 2), np.float32)
        out[valid] = gaze[index[valid]]
        return {"gaze": out, "gaze_valid": valid}

    def move(self, moments: np.ndarray, actor: str | None) -> Arrays:
        t_ns, _, label = self._targets
        out = np.zeros((len(moments), len(GROUPS)), np.float32)
        valid = np.zeros(out.shape, bool)
        if self._of.focus == actor and len(t_ns):
            index = index_at(t_ns, moments, "nearest", STEP_NS // 2)
            near = index >= 0
            valid[near] = label[index[near]] != GREY
            out[near] = label[index[near]] == 1
        return {"move": out, "move_valid": valid}

    @cached_property
    def _targets(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the first head camera: (N,) int64 times, (N, 2) gaze, (N, 6) int8 movement labels."""
        rows = self._of.rows("targets")
        row = camera(self._of.streams, "ego")
        mine = np.array(rows["device"].to_pylist(), object) == (row["device"] if row else "")
        gaze = np.stack([rows["gaze_x"].to_numpy(), rows["gaze_y"].to_numpy()], axis=1).astype(np.float32)
        label = movement_labels(degrees(rows), self._of.info["thirds_deg"])
        return rows["t_ns"].to_numpy()[mine], gaze[mine], label[mine]

    def activity(self, moments: np.ndarray, actor: str | None) -> Arrays:
        middle = int(moments[0]) + self._of.ask.span_ns // 2
        met = [v for v, a, b, who in self._of.labels.get(ACTIVITY, ()) if a <= middle < b and who in (actor, None)]
        return {"activity": np.array(self._of.classes(ACTIVITY)[met[0]] if met else -1, np.int64)}

    def atomic(self, moments: np.ndarray, actor: str | None) -> Arrays:
        span = int(moments[0]), int(moments[-1]) + 1
        out = self._of.acting(span, actor)
        return {"atomic": out, "atomic_valid": np.array(ATOMIC in self._of.labels)}

    def events(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        place = self._of.classes(EVENTS)
        out = np.zeros(len(place), np.float32)
        for value, a, b, _ in self._of.labels.get(EVENTS, ()):
            if a < int(moments[0]) + self._of.ask.span_ns and max(b, a + 1) > int(moments[0]):
                out[place[value]] = 1
        watched = any(r["model"] in WATCH_EVENTS and r["count"] for r in self._of.streams)
        return {"events": out, "events_valid": np.array(watched or EVENTS in self._of.labels)}

    def presence(self, moments: np.ndarray, _actor: str | None) -> Arrays:
        out, valid = np.zeros(len(moments), np.float32), np.zeros(len(moments), bool)
        for _, a, b, _ in self._of.labels.get(PRESENCE, ()):
            out[(moments >= a) & (moments <= b)] = 1
        for row in self._of.streams:
            if row["model"] == WATCHES_PRESENCE and row["count"]:
                valid |= (moments >= row["t0_ns"]) & (moments <= row["t1_ns"])
        out[~valid] = 0
        return {"presence": out, "presence_valid": valid}


def movement_labels(measured: np.ndarray, thirds: dict[str, list[float] | None]) -> np.ndarray:
    """(N, 6) degrees to (N, 6) int8 labels by the thirds of `info.json`."""
    label = np.full(measured.shape, GREY, np.int8)
    for column, group in enumerate(GROUPS):
        limits = thirds[group]
        if limits is not None:
            label[:, column] = Thirds(*limits).label(measured[:, column])
    return label
