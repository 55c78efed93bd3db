"""How long a camera exposes, from its pictures: what moves while the shutter is open is smeared along its way.

Edges that lie across the way of the picture lose by it, edges along it do not. So in a picture that moves by so many
pixels a frame, the ratio of the two says how far it moved while it was exposed. What a smear of a given length does to
this scene is tried on its own sharpest pictures, those of moments in which the camera hardly turned. One picture says
little, for walls and shelves have edges of one direction too; some hundred fast ones agree to a tenth of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

SMOOTH_PX = 2.0
"""Edges are sought at this scale, where a film's grain and its compression hardly count."""
SLOW_PX, FAST_PX = 3.0, 3.5
"""Pictures that move by less than this a frame are sharp; those that move by more tell a smear."""
FEWEST_SLOW, MOST_SLOW, FEWEST_FAST, MOST_FAST = 4, 12, 30, 3000
LENGTHS_PX = np.arange(0.0, 33.0)
LONGEST_PX = float(LENGTHS_PX[-1])
SHARES = np.linspace(0.0, 1.0, 101)
SCENE = 0.1
"""Standard deviation of what slow and fast pictures differ in beside the smear: they show other parts of the scene."""
CORRELATED = 6.0
"""How many pictures in a row are worth one: they show the same edges."""
MODEL = 0.08
"""Share of a frame by which an answer may be off where everything agrees."""
HUBER = 1.5
GRAINS = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Shares of a sharp picture's edges that may be grain."""


@dataclass
class Smear:
    """What is kept of a film's pictures while they go by."""

    edges: list[np.ndarray] = field(default_factory=list)
    moved: list[np.ndarray] = field(default_factory=list)
    sharp: list[tuple[float, np.ndarray]] = field(default_factory=list)

    def add(self, picture: np.ndarray, moved: np.ndarray) -> None:
        """The next picture, (H, W) uint8, and by how many pixels (2,) the scene moves about then in a frame's time."""
        self.edges.append(edges(picture))
        self.moved.append(moved)
        speed = float(np.hypot(*moved))
        if speed < SLOW_PX:
            self.sharp = sorted([*self.sharp, (speed, picture)], key=lambda s: s[0])[:MOST_SLOW]

    def share(self) -> tuple[float, float] | None:
        """Share of a frame's time that each row is exposed, and its standard deviation; None if that does not show."""
        if len(self.sharp) < FEWEST_SLOW:
            return None
        moved, found = np.array(self.moved), np.array(self.edges)
        speed = np.hypot(*moved.T)
        slow = np.mean([s**2 for s, _ in self.sharp])
        fast = np.flatnonzero((speed > FAST_PX) & (speed < LONGEST_PX))
        if len(fast) < FEWEST_FAST:
            return None
        fast = fast[:: 1 + len(fast) // MOST_FAST]
        way = moved[fast] / speed[fast, None]
        sharp = [p for _, p in self.sharp]
        usual = np.mean([edges(p) / np.trace(edges(p)) for p in sharp], axis=0)
        said = _ratio(found[fast], way) - _ratio(np.broadcast_to(usual, found[fast].shape), way)
        further = np.sqrt(np.maximum(speed[fast] ** 2 - slow, 0.0))  # sharp ones are smeared a little, too
        return _fitted(said, further, way**2, _smeared(sharp))


def edges(picture: np.ndarray) -> np.ndarray:
    """(2, 2) mean outer product of a picture's gradients."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), SMOOTH_PX)
    x, y = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return np.array([[np.mean(x * x), np.mean(x * y)], [np.mean(x * y), np.mean(y * y)]], np.float64) + np.eye(2) * 1e-6


def _ratio(tensor: np.ndarray, way: np.ndarray) -> np.ndarray:
    """(N,) logarithm of the edges across a way over those along it; (N, 2, 2) and unit (N, 2)."""
    beside = way[:, ::-1] * [-1, 1]
    along, across = (np.einsum("ni,nij,nj->n", v, tensor, v) for v in (way, beside))
    return np.asarray(np.log(along / across))


def _smeared(pictures: list[np.ndarray]) -> np.ndarray:
    """(GRAINS, 2, LENGTHS_PX), what a smear along either axis does to that logarithm, in the mean over pictures.

    A smear leaves a picture's grain as it is, so of the pictures that are smeared here it is put back.
    """
    grain = np.random.default_rng(0).integers(0, 256, pictures[0].shape).astype(np.uint8)
    lost = _along_and_across(grain)
    lost = 1 - lost / lost[:, :, :1]
    changed = np.zeros((len(GRAINS), 2, len(LENGTHS_PX)))
    for picture in pictures:
        own = _along_and_across(picture)
        for k, share in enumerate(GRAINS):
            there = own + share * own[:, :, :1].mean() * lost
            ratio = np.log(there[:, 0] / there[:, 1])
            changed[k] += (ratio - ratio[:, :1]) / len(pictures)
    return changed


def _along_and_across(picture: np.ndarray) -> np.ndarray:
    """(2, 2, LENGTHS_PX): for a smear along either axis, the gradients along it and across it."""
    tensors = [[edges(_smear(picture, length, axis)) for length in LENGTHS_PX] for axis in (0, 1)]
    return np.array([[[t[a, a], t[1 - a, 1 - a]] for t in tensors[a]] for a in (0, 1)]).transpose(0, 2, 1)


def _smear(picture: np.ndarray, length_px: float, axis: int) -> np.ndarray:
    half = int(np.ceil(max(length_px - 1, 0) / 2))
    kernel = np.clip((length_px + 1) / 2 - np.abs(np.arange(-half, half + 1)), 0, 1) if length_px > 1 else np.ones(1)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    one = np.ones(1, np.float32)
    return cv2.sepFilter2D(picture.astype(np.float32), cv2.CV_32F, *((kernel, one) if axis == 0 else (one, kernel)))


def _fitted(said: np.ndarray, speed: np.ndarray, direction: np.ndarray, smears: np.ndarray) -> tuple[float, float]:
    """The share that explains best what the pictures said, and its standard deviation, whatever their grain.

    Args:
        said: (N,). speed: (N,) pixels a frame. direction: (N, 2) squared cosines with the picture's axes.
        smears: (GRAINS, 2, LENGTHS_PX) what lengths do along each axis.
    """
    lengths = SHARES[:, None] * speed
    off, offset = np.empty((len(smears), *lengths.shape)), np.empty((len(smears), len(SHARES)))
    for k, smear in enumerate(smears):
        both = np.stack([np.interp(lengths, LENGTHS_PX, s) for s in smear], axis=-1)
        left = said - np.sum(both * direction, axis=-1)
        offset[k] = np.median(left, axis=1)
        off[k] = np.abs(left - offset[k][:, None])
    off /= 1.4826 * float(np.median(off, axis=2).min()) + 1e-3
    inner = np.minimum(off, HUBER)
    cost = np.sum(inner * (off - inner / 2), axis=2) / CORRELATED + (offset / SCENE) ** 2 / 2
    chance = np.exp(cost.min() - cost).sum(axis=0)
    chance /= chance.sum()
    share = float(chance @ SHARES)
    return share, float(np.hypot(np.sqrt(chance @ (SHARES - share) ** 2), MODEL))
