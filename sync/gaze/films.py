"""Two films of one head: find the rigid pair in them, and carry the gaze through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.errors import EvidenceError, SessionError
from recorder import demux
from sync.gaze.carry import carry
from sync.gaze.features import detect, followed, matched
from sync.gaze.lens import WIDTH, Lens
from sync.gaze.pairs import Frame
from sync.gaze.rig import Rig, fit_rig
from sync.gaze.table import MAX_GAP_NS, Gaze, Row

SECOND_NS = 1_000_000_000
FEWEST, MOST, EVERY_S = 10, 40, 8.0
"""Moments that are looked at for the rigid pair: one in so many seconds, within these bounds."""
SURVEYED = 1000
"""Features of a picture that are matched there."""
SEEK_NS = 3 * SECOND_NS
"""Further ahead than this, seeking is quicker than decoding."""


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

    def frames(self) -> Iterator[Frame]:
        """(t_ns, gray picture), `t_ns` ascending; frames whose time or shape is damaged are left out."""
        last = None
        for _, pts_ns, image in demux.video_frames(self.path, width=self.worked[0]):
            k = min(int(np.searchsorted(self.pts_ns, pts_ns)), len(self.pts_ns) - 1)
            t_ns = int(self.t_ns[k])
            if self.pts_ns[k] == pts_ns and image.shape == self.worked[::-1] and (last is None or t_ns > last):
                last = t_ns
                yield t_ns, image

    def pictures(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(index, gray picture) of some frames, by ascending index; what cannot be decoded is left out."""
        width, height = self.worked
        with demux.opened(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames, at_ns = iter(container.decode(stream)), -SEEK_NS - 1
            for index in wanted:
                target_ns = int(self.pts_ns[index])
                try:
                    if target_ns - at_ns > SEEK_NS:
                        container.seek(target_ns // 1000)
                        frames = iter(container.decode(stream))
                    for frame in frames:
                        at_ns = at_ns if frame.time is None else round(frame.time * SECOND_NS)
                        if at_ns >= target_ns - 500_000:
                            yield int(index), frame.reformat(width=width, height=height, format="gray").to_ndarray()
                            break
                except (ValueError, OSError, EOFError):  # FFmpeg's errors are of these kinds too
                    at_ns = -SEEK_NS - 1  # a damaged stretch: seek to the next one


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
    early = np.clip(np.searchsorted(scene.t_ns, head.t_ns[chosen], side="right") - 1, 0, len(scene.t_ns) - 2)
    scene_pictures = scene.pictures(np.unique(np.concatenate([early, early + 1])))
    held: dict[int, np.ndarray] = {}
    found = []
    for (index, image), k in zip(head.pictures(chosen), early, strict=False):
        for number, picture in scene_pictures:
            held[number] = picture
            if number > k:
                break
        if k in held and k + 1 in held:
            share = (head.t_ns[index] - scene.t_ns[k]) / (scene.t_ns[k + 1] - scene.t_ns[k])
            near = scene.t_ns[k + 1] - scene.t_ns[k] <= MAX_GAP_NS
            found += [_moment(held[k], held[k + 1], float(share), image)] if near else []
        held = {n: p for n, p in held.items() if n > k}
        done(1 / count)
    return fit_rig(found, (scene.worked, head.worked), (scene.worked_lens, head.worked_lens))


def _moment(early: np.ndarray, late: np.ndarray, share: float, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matches of a head frame with the scene at its time, between two scene frames."""
    a, b = detect(early, SURVEYED), detect(head, SURVEYED)
    i, j = matched(a, b)
    ahead, found = followed(early, late, a.xy[i])
    scene_xy = a.xy[i] + np.float32(share) * (ahead - a.xy[i])
    return scene_xy[found], b.xy[j][found]


def carried(
    scene: Film, head: Film, gaze: Gaze, rig: Rig | None, every: int, done: Callable[[float], None]
) -> Iterator[Row]:
    """`carry` for two films; a row's `t_ns` is on the eye tracker's clock."""
    return carry(scene.frames(), head.frames(), gaze, scene.size, head.size, rig, every, done=done)
