"""Which frames make a clip: moments a sixth of a second apart, in runs without a hole.

The moments are walked, not laid on a grid: each is the frame nearest to a sixth of a second after the one
before. On a camera of 30, 29.97 or 59.94 frames a second this is every fifth or tenth frame for ever, which are
the frames whose gaze `syncctl align` worked out; a grid would drift past them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ingest.targets import GROUPS, STEP_NS

CLIP_STEPS = 5
"""Frames of a clip, a sixth of a second apart."""
TOLERANCE_NS = 25_000_000
"""How far from a sixth of a second two moments of a clip may be: half a frame at 20 frames a second."""
GAZE_REACH_NS = 20_000_000
"""How far a gaze sample may be from its frame: the eye holds still for 200 ms between its jumps."""


def steps(t_ns: np.ndarray, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Walk a video in sixths of a second.

    Args:
        t_ns: (N,) int64 frame times on one clock, ascending.
        first: frame to begin with.

    Returns:
        frame (M,) int64, and run (M,) int32, which goes up by one after each hole.
    """
    frames: list[int] = []
    runs: list[int] = []
    at, run = first, 0
    while at < len(t_ns):
        frames.append(at)
        runs.append(run)
        goal = int(t_ns[at]) + STEP_NS
        following = _nearest(t_ns, goal)
        if following <= at or abs(int(t_ns[following]) - goal) > TOLERANCE_NS:
            following, run = max(at + 1, int(np.searchsorted(t_ns, goal))), run + 1
        at = following
    return np.array(frames, np.int64), np.array(runs, np.int32)


def nearest_within(t_ns: np.ndarray, at_ns: np.ndarray, reach_ns: int) -> np.ndarray:
    """Index of the sample nearest to each time, -1 where the nearest is further than `reach_ns`: (M,) int64."""
    if not len(t_ns):
        return np.full(len(at_ns), -1, np.int64)
    right = np.clip(np.searchsorted(t_ns, at_ns), 0, len(t_ns) - 1)
    left = np.maximum(right - 1, 0)
    index = np.where(at_ns - t_ns[left] <= t_ns[right] - at_ns, left, right)
    return np.where(np.abs(t_ns[index] - at_ns) <= reach_ns, index, -1)


def windows(key: np.ndarray, wanted: np.ndarray, length: int, stride: int = 1) -> np.ndarray:
    """Starts of all windows of `length` rows that stay within one key and hold a wanted row.

    Args:
        key: (N,) of any kind, equal within a run of consecutive rows.
        wanted: (N,) bool; at least one row of a window must have it.
        stride: take every `stride`-th window of a run.

    Returns:
        (K,) int64, ascending.
    """
    if len(key) < length:
        return np.empty(0, np.int64)
    change = np.flatnonzero(key[1:] != key[:-1]) + 1
    starts = np.concatenate([[0], change]).astype(np.int64)
    stops = np.concatenate([change, [len(key)]]).astype(np.int64)
    every = [np.arange(a, b - length + 1, stride) for a, b in zip(starts, stops, strict=True)]
    candidates = np.concatenate(every).astype(np.int64)
    so_far = np.concatenate([[0], np.cumsum(wanted)])
    return candidates[so_far[candidates + length] > so_far[candidates]]


def degrees(rows: pa.Table) -> np.ndarray:
    """The movement columns of the `targets` table: (N, 6) float32 degrees, NaN where not measured."""
    return np.stack([rows[f"deg_{g}"].to_numpy().astype(np.float32) for g in GROUPS], axis=1)


def clip_starts(rows: pa.Table, length: int, stride: int = 1) -> np.ndarray:
    """First rows of all clips in the `targets` table: within one session, camera and run, gaze known at least once."""
    keys = [rows[c].combine_chunks().dictionary_encode() for c in ("session", "device")]
    codes = [k.indices.to_numpy().astype(np.int64) for k in keys] + [rows["run"].to_numpy().astype(np.int64)]
    changed = np.zeros(len(codes[0]), bool)
    for code in codes:
        changed[1:] |= code[1:] != code[:-1]
    return windows(np.cumsum(changed), np.isfinite(rows["gaze_x"].to_numpy()), length, stride)


def _nearest(t_ns: np.ndarray, goal_ns: int) -> int:
    right = int(np.searchsorted(t_ns, goal_ns))
    if right == len(t_ns) or (right and goal_ns - int(t_ns[right - 1]) <= int(t_ns[right]) - goal_ns):
        return right - 1
    return right
