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

SMOOTH_PX = 1.0
"""Edges are sought at this scale, of pictures at half their size, where grain and compression hardly count."""
SLOW_PX, FAST_PX = 1.5, 1.75
"""Pictures that move by less than this a frame are sharp; those that move by more tell a smear."""
FEWEST_SLOW, MOST_SLOW, FEWEST_FAST, MOST_FAST = 4, 12, 30, 3000
LENGTHS_PX = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.5, 10.0, 13.0, 16.0])
LONGEST_PX = float(LENGTHS_PX[-1])
WAYS = 8
"""Directions, of half a turn, in which smears are tried: what one does to a shelf's edges depends on their own."""
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
        small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        self.edges.append(edges(small))
        self.moved.append(moved / 2)
        speed = float(np.hypot(*moved)) / 2
        if speed < SLOW_PX:
            self.sharp = sorted([*self.sharp, (speed, small)], key=lambda s: s[0])[:MOST_SLOW]

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
        return _fitted(said, further, np.arctan2(way[:, 1], way[:, 0]), _smeared(sharp))


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
    """(GRAINS, WAYS, LENGTHS_PX), what a smear along a way does to that logarithm, in the mean over pictures.

    A smear leaves a picture's grain as it is, so of the pictures that are smeared here it is put back.
    """
    grain = np.random.default_rng(0).integers(0, 256, pictures[0].shape).astype(np.uint8)
    kept = _along_and_across(grain)
    lost = 1 - kept / kept[:, :, :1]
    changed = np.zeros((len(GRAINS), WAYS, len(LENGTHS_PX)))
    for picture in pictures:
        own = _along_and_across(picture)
        for k, share in enumerate(GRAINS):
            there = own + share * own[:, :, :1].mean() * lost
            ratio = np.log(there[:, 0] / there[:, 1])
            changed[k] += (ratio - ratio[:, :1]) / len(pictures)
    return changed


def _along_and_across(picture: np.ndarray) -> np.ndarray:
    """(WAYS, 2, LENGTHS_PX): for smears of every way and length, the gradients along that way and across it."""
    found = np.empty((WAYS, 2, len(LENGTHS_PX)))
    for k, angle in enumerate(np.arange(WAYS) * np.pi / WAYS):
        turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for n, length in enumerate(LENGTHS_PX):
            found[k, :, n] = np.diag(turned @ edges(_smear(picture, length, turned[0])) @ turned.T)
    return found


def _smear(picture: np.ndarray, length_px: float, way: np.ndarray) -> np.ndarray:
    """A picture that moved by so many pixels along a way, (2,), while it was exposed."""
    half = int(np.ceil(length_px / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for at in half + np.linspace(-length_px / 2, length_px / 2, 4 * half + 1)[:, None] * way:
        (x, y), (u, v) = at.astype(int), at % 1
        kernel[y : y + 2, x : x + 2] += np.outer([1 - v, v], [1 - u, u]).astype(np.float32)
    return cv2.filter2D(picture.astype(np.float32), cv2.CV_32F, kernel / kernel.sum())


def _fitted(said: np.ndarray, speed: np.ndarray, angle: np.ndarray, smears: np.ndarray) -> tuple[float, float]:
    """The share that explains best what the pictures said, and its standard deviation, whatever their grain.

    Args:
        said: (N,). speed: (N,) pixels a frame. angle: (N,) rad, of the way they move.
        smears: (GRAINS, WAYS, LENGTHS_PX) what smears do.
    """
    place = angle % np.pi / np.pi * WAYS
    low, part = place.astype(int) % WAYS, (place % 1)[:, None]
    lengths = SHARES[:, None] * speed
    off, offset = np.empty((len(smears), *lengths.shape)), np.empty((len(smears), len(SHARES)))
    for k, smear in enumerate(smears):
        own = (1 - part) * smear[low] + part * smear[(low + 1) % WAYS]
        left = said - np.stack([np.interp(x, LENGTHS_PX, y) for x, y in zip(lengths.T, own, strict=True)], axis=1)
        offset[k] = np.median(left, axis=1)
        off[k] = np.abs(left - offset[k][:, None])
    off /= 1.4826 * float(np.median(off, axis=2).min()) + 1e-3
    inner = np.minimum(off, HUBER)
    cost = np.sum(inner * (off - inner / 2), axis=2) / CORRELATED + (offset / SCENE) ** 2 / 2
    chance = np.exp(cost.min() - cost).sum(axis=0)
    chance /= chance.sum()
    share = float(chance @ SHARES)
    return share, float(np.hypot(np.sqrt(chance @ (SHARES - share) ** 2), MODEL))
