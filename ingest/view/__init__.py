"""What one session has for a clip: each kind of the batch contract as one method, arrays and masks from the tables.

What a session says is read once and kept while its clips are asked for; its sensors stay in their files, a minute at a
time. Pictures are the one thing read for each clip.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ingest.anchors import PICTURES, camera
from ingest.ask import Ask
from ingest.cache import FrameReader
from ingest.clips import TOLERANCE_NS
from ingest.film import Video
from ingest.moments import index_at
from ingest.opened import Dataset
from ingest.view.said import Said, movement_labels
from ingest.view.seen import Seen
from ingest.view.sensed import Sensed
from ingest.view.session import Arrays, SessionRows

__all__ = ["SessionView", "movement_labels"]

SENSED = ("audio", "environment", "thermal", "imu", "features")
"""Kinds that, as pictures, are looked at and not told: no labels."""


class SessionView:
    """One session of a dataset, as the clips of one `Ask` see it."""

    def __init__(self, dataset: Dataset, session: str, ask: Ask) -> None:
        self.session, self.ask = session, ask
        self._of = of = SessionRows(dataset, session, ask)
        self._seen, said, sensed = Seen(of), Said(of), Sensed(of)
        self._kinds: dict[str, Callable[[np.ndarray, str | None], Arrays]] = {
            **{"audio": sensed.audio, "environment": sensed.environment, "thermal": sensed.thermal, "imu": sensed.imu},
            **{"gaze": said.gaze, "move": said.move, "activity": said.activity, "atomic": said.atomic},
            **{"events": said.events, "presence": said.presence},
            **{"boxes": self._seen.boxes, "tracks": self._seen.tracks, "graph": self._seen.graph},
            "features": self._seen.features,
        }

    @property
    def focus(self) -> str | None:
        """Whom the session is about."""
        return self._of.focus

    @property
    def actors(self) -> list[str]:
        """Everybody with a track, in alphabetical order."""
        return self._of.actors

    @property
    def people(self) -> list[str]:
        """Everybody with a track or a box, in alphabetical order: the numbers of `box_person`."""
        return self._of.people

    def clip(self, reader: FrameReader, t0_ns: int, who: int) -> Arrays:
        """Every key that is asked for, of the clip that starts at `t0_ns`; see `ingest.ask.shapes`."""
        found = self._tables(t0_ns, who, set())
        for role in PICTURES:
            if self.ask.wants(role):
                found |= self._pictures(reader, role, self._moments(t0_ns))
        return found

    def labels(self, t0_ns: int, who: int) -> Arrays:
        """The keys that say what there is to tell; neither pictures nor sound nor sensors are read for them."""
        return self._tables(t0_ns, who, set(SENSED))

    def boxes_at(self, at_ns: int) -> list[tuple[str | None, np.ndarray, float]]:
        """See `Seen.boxes_at`."""
        return self._seen.boxes_at(at_ns)

    def _moments(self, t0_ns: int) -> np.ndarray:
        return t0_ns + np.arange(self.ask.frames, dtype=np.int64) * self.ask.step_ns

    def _tables(self, t0_ns: int, who: int, without: set[str]) -> Arrays:
        actor = self.focus if who < 0 else self.actors[who]
        moments, found = self._moments(t0_ns), Arrays()
        for kind in self.ask.kinds:
            if kind not in PICTURES and kind not in without:
                found |= self._kinds[kind](moments, actor)
        return found

    def _pictures(self, reader: FrameReader, role: str, moments: np.ndarray) -> Arrays:
        size = self.ask.size
        out = np.zeros((len(moments), 3, size, size), np.uint8)  # costs nothing before it is written
        valid = np.zeros(len(moments), bool)
        if role in self._films:
            video, t_ns = self._films[role]
            index = index_at(t_ns, moments, "nearest", TOLERANCE_NS)
            valid = index >= 0
            shown, back = np.unique(index[valid], return_inverse=True)
            planes = reader.planes(video, shown.tolist(), (size, size))
            if len(planes) == len(out):
                out = planes
            else:
                out[valid] = planes[back]
        return {role: out, f"{role}_valid": valid}

    @cached_property
    def _films(self) -> dict[str, tuple[Video, np.ndarray]]:
        """Role -> the film that is shown, and when each of its frames was taken: (N,) int64 ns."""
        found, dataset = {}, self._of.dataset
        for role in PICTURES:
            row = camera(self._of.streams, role) if self.ask.wants(role) else None
            if row is not None and row["count"]:
                video = dataset.video(self.session, row["device"], size=self.ask.size)
                found[role] = video, dataset.frame_times(self.session, row["device"])
        return found
