"""Two films of one head: find the rigid pair in them, and carry the gaze through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.errors import EvidenceError, SessionError
from recorder import demux
from sync.gaze.carry import carry
from sync.gaze.features import detect, matched
from sync.gaze.lens import WIDTH, Lens
from sync.gaze.pairs import Frame, Sight, sights
from sync.gaze.rig import Rig, fit_rig
from sync.gaze.table import Gaze, Row

FEWEST, MOST, EVERY_S = 10, 40, 8.0
"""Moments that are looked at for the rigid pair: one in so many seconds, within these bounds."""
SURVEYED = 600
"""Features of a picture that are matched there."""
SEEK_NS = 3 * SECOND_NS
"""Further ahead than this, seeking is quicker than decoding."""
NEAR_NS = 500_000
"""A container's times are rounded by this at most."""


@dataclass(frozen=True)
class Film:
    """One camera's recording.

    Attributes:
        path: the media file.
        pts_ns: (N,) int64 container times of its frames, ascending.
        t_ns: (N,) int64, the same frames on the eye tracker's clock.
        size: (width, height) of its pictures, px.
        lens: its lens for pictures of `size`, None where nobody calibrated it.
    """

    path: Path
    pts_ns: np.ndarray
    t_ns: np.ndarray
    size: tuple[int, int]
    lens: Lens | None = None

    @property
    def worked(self) -> tuple[int, int]:
        """Size of the pictures that are worked on."""
        width = min(WIDTH, self.size[0])
        return width, max(2, round(self.size[1] * width / self.size[0]))

    @property
    def worked_lens(self) -> Lens | None:
        """The lens for those."""
        return self.lens and self.lens.scaled(self.worked[0])

    def frames(self, wanted: np.ndarray | None = None) -> Iterator[Frame]:
        """(t_ns, gray picture of size `worked`) of some frames, given by ascending index; without, of all.

        What cannot be decoded, or is of another shape, is left out.
        """
        width, height = self.worked
        last = None
        for index, frame in self._decoded(np.arange(len(self.pts_ns)) if wanted is None else wanted):
            t_ns, shown = int(self.t_ns[index]), round(frame.height * width / frame.width)
            if shown == height and (last is None or t_ns > last):
                last = t_ns
                yield t_ns, frame.reformat(width=width, height=height, format="gray", threads=1).to_ndarray()

    def _decoded(self, wanted: np.ndarray) -> Iterator[tuple[int, Any]]:
        """(index, FFmpeg's frame) of those that can be decoded."""
        with demux.opened(self.path) as container:
            container.streams.video[0].thread_type = "AUTO"
            frames, at_ns, frame = _whole(container), -SECOND_NS, None
            for index in wanted:
                target_ns = int(self.pts_ns[index])
                if target_ns - at_ns > SEEK_NS:
                    container.seek(target_ns // 1000)
                    frames = _whole(container)
                while at_ns < target_ns - NEAR_NS and (frame := next(frames, None)) is not None:
                    at_ns = at_ns if frame.time is None else round(frame.time * SECOND_NS)
                if frame is not None and abs(at_ns - target_ns) <= NEAR_NS:
                    yield int(index), frame


def _whole(container: Any) -> Iterator[Any]:
    """The pictures of a container from where it is; what is damaged is left out. FFmpeg's errors are of these kinds."""
    with suppress(ValueError, OSError, EOFError):
        for packet in container.demux(container.streams.video[0]):
            with suppress(ValueError, OSError):
                yield from packet.decode()


def plain_film(path: Path, lens: Lens | None = None) -> Film:
    """A media file whose frames' times are those of its container.

    Raises:
        SessionError: not a media file, or one without pictures.
    """
    video = next((s for s in demux.probe(path) if s.kind == "video"), None)
    pts_ns = demux.container_frame_times_ns(path) if video else np.empty(0, np.int64)
    if video is None or video.size is None or len(pts_ns) == 0:
        raise SessionError(f"{path} holds no pictures; give a video")
    pts_ns = np.unique(pts_ns)
    return Film(path, pts_ns, pts_ns, video.size, lens)


def find_rig(scene: Film, head: Film, done: Callable[[float], None] = lambda _: None) -> Rig:
    """The rigid pair of two cameras, from moments of their whole recordings.

    Args:
        done: told by how much of 1 it is nearer to its end.

    Raises:
        EvidenceError: the pictures do not tell.
    """
    first, last = max(scene.t_ns[0], head.t_ns[0]), min(scene.t_ns[-1], head.t_ns[-1])
    inside = np.flatnonzero((head.t_ns >= first) & (head.t_ns <= last))
    if len(inside) < FEWEST:
        raise EvidenceError("the two recordings have almost no time in common; check the offset between them")
    count = int(np.clip((last - first) / SECOND_NS / EVERY_S, FEWEST, MOST))
    chosen = inside[np.linspace(0, len(inside) - 1, count + 2)[1:-1].astype(int)]
    found = []
    for _, sight in sights(scene.frames(_around(scene, head.t_ns[chosen])), head.frames(chosen)):
        found += [_matches(sight)] if sight else []
        done(1 / count)
    return fit_rig(found, (scene.worked, head.worked), (scene.worked_lens, head.worked_lens))


def _around(film: Film, t_ns: np.ndarray) -> np.ndarray:
    """Indices of a film's frames before and after each time, ascending."""
    after = np.searchsorted(film.t_ns, t_ns, side="right")
    return np.unique(np.clip(np.concatenate([after - 1, after]), 0, len(film.t_ns) - 1))


def _matches(sight: Sight) -> tuple[np.ndarray, np.ndarray]:
    """What both cameras see at the time of a head frame: (N, 2) px of the scene camera, and of the head camera."""
    a, b = detect(sight.scene, SURVEYED), detect(sight.head, SURVEYED)
    i, j = matched(a, b)
    scene_xy, found = sight.at_its_time(a.xy[i])
    return scene_xy[found], b.xy[j][found]


def carried(
    scene: Film, head: Film, gaze: Gaze, rig: Rig | None, every: int, done: Callable[[float], None] = lambda _: None
) -> Iterator[Row]:
    """`carry` for each `every`-th frame of a film; a row's `t_ns` is on the eye tracker's clock.

    `done` is told how many frames of the film are done.
    """
    asked = np.arange(0, len(head.t_ns), every)
    frames = scene.frames(_around(scene, head.t_ns[asked])), head.frames(asked)
    return carry(*frames, gaze, scene.size, head.size, rig, done=lambda one: done(one * every))
