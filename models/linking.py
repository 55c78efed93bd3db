"""Boxes of one picture after another, linked to tracks.

In every frame the boxes are given to the tracks so that the sum over pairs is largest (the Hungarian method). What a
pair is worth is how much the box overlaps the track's last box and, where there are appearance vectors, how alike the
two look; a pair that is worth too little stays unlinked. A box that nobody takes begins a track, and a track that has
had no box for a while ends. Nothing is learned here, and a box's number depends only on what came before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from models import boxes


@dataclass(frozen=True)
class Frame:
    """What was found in one picture.

    Attributes:
        boxes: (N, 4) x1, y1, x2, y2 in fractions of the picture; one that is not usable is in no track.
        appearance: (N, D) of any length but 0, or None.
    """

    boxes: np.ndarray
    appearance: np.ndarray | None = None


@dataclass
class _Track:
    number: int
    box: np.ndarray
    look: np.ndarray | None
    unseen: int = 0


def link(
    frames: Sequence[Frame], looks: float = 0.5, least: float = 0.3, patience: int = 15, memory: float = 0.8
) -> list[np.ndarray]:
    """Number the boxes by person.

    Args:
        frames: by time.
        looks: weight of the looks in [0, 1], the rest is overlap; without appearance vectors overlap is all.
        least: what a pair must be worth, in [0, 1].
        patience: frames that a track may be without a box.
        memory: how much of a track's look stays when it meets a new one, in [0, 1).

    Returns:
        for each frame (N,) int64: the track's number, counted from 0 by first appearance; -1 for a box in none.
    """
    tracks: list[_Track] = []
    numbers, next_number = [], 0
    for frame in frames:
        found = np.full(len(frame.boxes), -1, np.int64)
        fine = np.flatnonzero(boxes.usable(_tensor(frame.boxes)).numpy())
        look = _unit(frame.appearance)
        for track, place in _pairs(tracks, frame.boxes[fine], None if look is None else look[fine], looks, least):
            box = int(fine[place])
            track.box, track.unseen, found[box] = frame.boxes[box], -1, track.number
            track.look = _mixed(track.look, None if look is None else look[box], memory)
        for box in fine[found[fine] < 0].tolist():
            tracks.append(_Track(next_number, frame.boxes[box], None if look is None else look[box], -1))
            found[box], next_number = next_number, next_number + 1
        for track in tracks:
            track.unseen += 1
        tracks = [track for track in tracks if track.unseen <= patience]
        numbers.append(found)
    return numbers


def _pairs(
    tracks: list[_Track], found: np.ndarray, look: np.ndarray | None, looks: float, least: float
) -> list[tuple[_Track, int]]:
    """The best pairs of a track and a box, those that are worth enough."""
    if not tracks or not len(found):
        return []
    worth = boxes.overlap(_tensor(np.stack([t.box for t in tracks])), _tensor(found)).numpy()  # (tracks, boxes)
    if look is not None:
        for row, track in enumerate(tracks):
            if track.look is not None:
                alike = (1 + look @ track.look) / 2
                worth[row] = looks * alike + (1 - looks) * worth[row]
    rows, columns = linear_sum_assignment(np.where(worth >= least, worth, 0.0), maximize=True)
    return [(tracks[r], int(c)) for r, c in zip(rows, columns, strict=True) if worth[r, c] >= least]


def _mixed(old: np.ndarray | None, new: np.ndarray | None, memory: float) -> np.ndarray | None:
    if old is None or new is None:
        return new if old is None else old
    return _unit((memory * old + (1 - memory) * new)[None])[0]  # type: ignore[index]


def _unit(vectors: np.ndarray | None) -> np.ndarray | None:
    """Vectors (N, D) of length 1; zeros stay."""
    if vectors is None:
        return None
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float64).reshape(-1, 4))
