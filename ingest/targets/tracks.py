"""Tracks of persons that a tracker such as PHALP made of a film (Rajasegaran et al., CVPR 2022), from an ``.npz``.

PHALP writes joblib pickles, and opening a pickle runs what is in it; so its results are converted once, where PHALP
runs and is trusted, by the lines in docs/reference/labels.md. The arrays, K rows, one a person and frame:

    frame (K,) int          frame of the film, from 0
    track (K,) int          the person's number
    box (K, 4) float        x1, y1, x2, y2 in pixels of the film
    score (K,) float        the detector's confidence, 0 to 1
    pose (K, 229) float     orientation, 23 joints, shape and translation, as `ingest.targets.pose` has them
    appearance (K, D)       optional
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from firmware_host.errors import SessionError
from ingest.labels.label import Label, box_of_px, in_order
from ingest.targets.pose import VECTOR

PERSON = "person"


@dataclass(frozen=True)
class Tracks:
    """Persons in a film, by track and time.

    Attributes:
        t_ns: (K,) int64 in the film's time.
        track: (K,) int64.
        box: (K, 4) float32, fractions of the picture.
        score: (K,) float32.
        pose: (K, 229) float32.
        appearance: (K, D) float32; D is 0 where there is none.
    """

    t_ns: np.ndarray
    track: np.ndarray
    box: np.ndarray
    score: np.ndarray
    pose: np.ndarray
    appearance: np.ndarray

    def labels(self, lasting_ns: int) -> list[Label]:
        """The boxes as labels of tier `person`, each lasting one frame; the actor is the track's number."""
        rows = zip(self.t_ns.tolist(), self.track.tolist(), self.box.tolist(), self.score.tolist(), strict=True)
        return in_order(Label(PERSON, t, t + lasting_ns, PERSON, str(who), tuple(b), s) for t, who, b, s in rows)


def read(path: Path, frames_ns: np.ndarray, size: tuple[int, int]) -> Tracks:
    """The tracks of one film.

    Args:
        frames_ns: (N,) int64, when each of its frames is shown.
        size: its (width, height) in pixels.

    Raises:
        SessionError: the file is damaged, holds pickles or lacks an array, or a row is of no frame of the film.
    """
    try:
        with np.load(path, allow_pickle=False) as packed:
            held = {name: packed[name] for name in packed.files}
        frame, track = held["frame"].astype(np.int64), held["track"].astype(np.int64)
        box, score = held["box"].astype(np.float64), held["score"].astype(np.float32)
        pose = held["pose"].astype(np.float32)
        appearance = held.get("appearance", np.zeros((len(frame), 0))).astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise SessionError(f"{path} cannot be read as tracks ({error}); convert them again") from error
    n = len(frame)
    shapes = (track.shape, box.shape, score.shape, pose.shape, appearance.shape[:1])
    if shapes != ((n,), (n, 4), (n,), (n, VECTOR), (n,)):
        raise SessionError(f"{path} holds {n} frames and arrays of shapes {shapes}; convert the tracks again")
    if n and not 0 <= frame.min() <= frame.max() < len(frames_ns):
        raise SessionError(
            f"{path} speaks of frame {frame.max()}, and the film has {len(frames_ns)}; is it of this film?"
        )
    order = np.lexsort((frame, track))
    shares = np.array([box_of_px(a, b, c, d, size) for a, b, c, d in box.tolist()], np.float32).reshape(-1, 4)
    score = np.clip(score, 0, 1)
    return Tracks(frames_ns[frame][order], track[order], shares[order], score[order], pose[order], appearance[order])
