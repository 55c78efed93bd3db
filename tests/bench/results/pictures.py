"""A picture as a few numbers for each cell of a grid, learned from nothing.

Of each cell: mean colour, spread of brightness, how strong edges are in eight directions (as in Dalal and Triggs,
"Histograms of oriented gradients for human detection", CVPR 2005), and what moved since the frame before: mean flow,
its length, and the mean change of brightness. They stand in for the frozen backbone that nobody has for a simulated
home; as nobody learned them, they know no person of any split.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

DIRECTIONS = 8
CHANNELS = 3 + 1 + DIRECTIONS + 4
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def described(frames: np.ndarray, cells: int) -> np.ndarray:
    """What every cell of every frame shows.

    Args:
        frames: (T, 3, S, S) uint8 RGB, S a multiple of `cells`.
        cells: along each side.

    Returns:
        (T, CHANNELS, cells, cells) float32. The first frame has no frame before it: its movement is the second's.
    """
    colour = frames.astype(np.float32) / 255
    grey = np.einsum("tchw,c->thw", colour, LUMA)
    mean = gridded(colour, cells)  # (T, 3, g, g)
    bright = gridded(grey[:, None], cells)
    spread = np.sqrt(np.maximum(gridded(grey[:, None] ** 2, cells) - bright**2, 0))
    moved = [moved_between(a, b) for a, b in itertools.pairwise(grey)]
    moved = [moved[0] if moved else np.zeros((4, *grey.shape[1:]), np.float32), *moved]
    return np.concatenate([mean, spread, gridded(edges(grey), cells), gridded(np.stack(moved), cells)], axis=1)


def gridded(values: np.ndarray, cells: int) -> np.ndarray:
    """The mean in every cell: (T, C, S, S) -> (T, C, cells, cells)."""
    frames, channels, height, width = values.shape
    return values.reshape(frames, channels, cells, height // cells, cells, width // cells).mean(axis=(3, 5))


def edges(grey: np.ndarray) -> np.ndarray:
    """How strong the edges of each direction are, in pixels: (T, S, S) in [0, 1] -> (T, DIRECTIONS, S, S)."""
    rows, columns = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(rows, columns)
    turn = np.mod(np.arctan2(rows, columns), np.pi) / np.pi * DIRECTIONS  # an edge has no sign
    which = np.minimum(turn.astype(int), DIRECTIONS - 1)
    return np.stack([np.where(which == k, strength, 0) for k in range(DIRECTIONS)], axis=1)


def moved_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Flow x, y in pixels, its length, and the change of brightness: two (S, S) in [0, 1] -> (4, S, S)."""
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    bytes_ = [np.rint(255 * picture).astype(np.uint8) for picture in (before, after)]
    flow = search.calc(bytes_[0], bytes_[1], None)
    return np.stack([flow[..., 0], flow[..., 1], np.hypot(*np.moveaxis(flow, -1, 0)), np.abs(after - before)])


def blocked(cells: np.ndarray, frames: int) -> np.ndarray:
    """The mean of every `frames` frames: (T, C, g, g) -> (T / frames, C, g, g)."""
    return cells.reshape(-1, frames, *cells.shape[1:]).mean(axis=1)


def folded(cells: np.ndarray) -> np.ndarray:
    """Every 2 x 2 cells as one with four times the channels: (..., C, 2g, 2g) -> (..., 4C, g, g)."""
    *lead, channels, height, width = cells.shape
    parts = cells.reshape(*lead, channels, height // 2, 2, width // 2, 2)
    order = (*range(len(lead)), *(len(lead) + i for i in (0, 2, 4, 1, 3)))
    return parts.transpose(order).reshape(*lead, 4 * channels, height // 2, width // 2)
