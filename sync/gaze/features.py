"""Points of two pictures that show the same thing, and points followed from picture to picture.

Between cameras: SIFT (Lowe 2004) and all pairs of descriptors compared, as the muscles paper does. Between frames of
one camera: Lucas and Kanade's method (1981), forth and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

RATIO = 0.8
WINDOW = 15
BACK_PX = 0.7
"""Followed forth and back, a point must return this near."""


@dataclass(frozen=True)
class Features:
    """Places (N, 2) float32 in pixels, and unit descriptors (N, 128) float32."""

    xy: np.ndarray
    descriptor: np.ndarray


def detect(image: np.ndarray, count: int) -> Features:
    """SIFT features of a gray picture (H, W) uint8, the strongest `count` of them."""
    sift = cv2.SIFT.create(nfeatures=count, contrastThreshold=0.015)
    points, descriptor = sift.detectAndCompute(image, None)
    if descriptor is None or len(points) < 2:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    # RootSIFT (Arandjelovic, Zisserman 2012): compare what is alike by Hellinger's distance.
    descriptor = np.sqrt(descriptor / np.maximum(descriptor.sum(axis=1, keepdims=True), 1e-6))
    return Features(np.array([p.pt for p in points], np.float32), descriptor.astype(np.float32))


def matched(a: Features, b: Features) -> tuple[np.ndarray, np.ndarray]:
    """Indices of features that are each other's best, and clearly better than the second: (M,) ints into both."""
    if len(a.xy) < 2 or len(b.xy) < 2:
        return np.empty(0, int), np.empty(0, int)
    alike = a.descriptor @ b.descriptor.T
    rows = np.arange(len(a.xy))
    best = np.argmax(alike, axis=1)
    top = alike[rows, best]
    mutual = np.argmax(alike, axis=0)[best] == rows
    alike[rows, best] = -1.0
    second = alike.max(axis=1)
    clear = (2 - 2 * top) < RATIO**2 * (2 - 2 * second)
    keep = np.flatnonzero(mutual & clear & (top > 0.6))
    return keep, best[keep]


def followed(image: np.ndarray, later: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow points (N, 2) float32 into another picture: their places there, and (N,) bool which were found."""
    if len(xy) == 0:
        return xy, np.zeros(0, bool)
    points = np.ascontiguousarray(xy, np.float32)
    there, found = _flow(image, later, points)
    back, returned = _flow(later, image, there)
    near = np.linalg.norm(back - points, axis=1) < BACK_PX
    return there, found & returned & near


def _flow(image: np.ndarray, later: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    there = np.empty_like(points)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(image, later, points, there, winSize=(WINDOW, WINDOW), maxLevel=3)
    return np.asarray(moved), np.asarray(found).ravel() > 0
