"""Who is there, by warmth: blobs in the 8x8 picture of an AMG8833, and the four currents of an AK9753.

A person is some kelvin warmer than the walls, and the walls are not even: each pixel has an offset of its own. What a
pixel shows when nobody is before it is the lower part of what it ever shows; a pixel before which somebody always was
is judged by its neighbours instead. Minutes or more are meant: in a few seconds a person who sits still is a wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SIDE = 8
WARM_K = 1.5
"""How much warmer than the wall a pixel of a blob is: six times the AMG8833's noise."""
EMPTY_SHARE = 0.1
"""The quantile of a pixel's temperatures that is taken for the empty room's."""
UNEVEN_K = 2.0
"""Walls differ from the median wall by no more, as the chip's pixels do: what is warmer was never empty."""
CURRENT_PA, RELEASE_PA = 60.0, 30.0
"""A person comes at the first and is gone below the second, over the empty room's current."""


@dataclass(frozen=True)
class Blob:
    """One warm patch.

    Attributes:
        row, column: its middle, weighted by warmth, in pixels from the middle of the top left one: 0 to 7.
        pixels: how many it has.
        peak_k: its warmest pixel over the wall behind, kelvin.
        sum_k: all of it.
    """

    row: float
    column: float
    pixels: int
    peak_k: float
    sum_k: float


def empty_room(pixels: np.ndarray) -> np.ndarray:
    """(64,) degrees C that each pixel shows when nobody is before it, from (N, 64) over a long time."""
    low = np.quantile(pixels, EMPTY_SHARE, axis=0)
    return np.minimum(low, np.median(low) + UNEVEN_K)


def warmth(pixels: np.ndarray, empty: np.ndarray | None = None) -> np.ndarray:
    """Kelvin over the empty room, as a picture.

    Args:
        pixels: (N, 64) degrees C, row by row from the top left.
        empty: (64,) degrees C of the empty room; None for `empty_room` of these.

    Returns:
        (N, 8, 8) float32.
    """
    base = empty_room(pixels) if empty is None else empty
    return (pixels - base).reshape(-1, SIDE, SIDE).astype(np.float32)


def blobs(warm: np.ndarray) -> list[list[Blob]]:
    """The warm patches of each picture, the warmest in sum first.

    Args:
        warm: (N, 8, 8) kelvin over the empty room; NaN counts as cold.

    Returns:
        N lists. Pixels that touch at a corner are one blob; so are two people behind each other.
    """
    found = []
    for picture in np.nan_to_num(warm):
        marks, count = ndimage.label(picture > WARM_K, structure=np.ones((3, 3)))
        patches = []
        for number in range(1, count + 1):
            rows, columns = np.nonzero(marks == number)
            k = picture[rows, columns]
            middle = (float((rows * k).sum() / k.sum()), float((columns * k).sum() / k.sum()))
            patches.append(Blob(*middle, len(k), float(k.max()), float(k.sum())))
        found.append(sorted(patches, key=lambda b: -b.sum_k))
    return found


def presence(current: np.ndarray) -> np.ndarray:
    """Whether somebody is before an AK9753.

    Args:
        current: (N, 4) pA of its four sensors over a long time, by time; NaN where not read.

    Returns:
        (N,) bool: one of the currents rose over its empty room's by `CURRENT_PA` and has not fallen below `RELEASE_PA`
        since. A row without a reading says what the one before did.
    """
    if not np.isfinite(current).any():
        return np.zeros(len(current), bool)
    read = np.isfinite(current).any(axis=0)
    risen = current[:, read] - np.nanquantile(current[:, read], EMPTY_SHARE, axis=0)
    most = np.max(np.nan_to_num(risen, nan=-np.inf), axis=1)
    there = np.zeros(len(most), bool)
    now = False
    for i, k in enumerate(most):
        if np.isfinite(k):
            now = k > (RELEASE_PA if now else CURRENT_PA)
        there[i] = now
    return there
