"""The disk as a recording sees it: how many minutes still fit, when to end, and room to end in.

A disk that runs full in the middle of a recording costs at most a block, but it costs it at a moment nobody chose. So
the recorder ends while everything can still be written. What others do to the disk it cannot know: a reserve, taken at
the start and given back at the end, lets it close its files even when the disk is full. It never deletes a recording.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

RESERVE = ".reserve"
RESERVE_BYTES = 4 * 1024 * 1024
"""A day's cues, a manifest, and the last of a log."""
WINDOW_S = 60.0
SETTLED_S = 10.0
"""Before this the growth of the files says less than the configuration."""


def take_reserve(root: Path) -> None:
    """Put `RESERVE_BYTES` aside. Raises OSError where the disk has not even those."""
    with (root / RESERVE).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)


def release_reserve(root: Path) -> None:
    """Give them back."""
    (root / RESERVE).unlink(missing_ok=True)


@dataclass(frozen=True)
class Room:
    """What a look at the disk says. `state` is ``ok``, ``warn`` or ``stop``."""

    state: str
    minutes: float
    bytes_per_s: float


class DiskGuard:
    """Judges, from the files' growth and the disk's free space, how long a recording can go on."""

    def __init__(self, warn_minutes: float, stop_minutes: float, expected_bytes_per_s: float) -> None:
        """`expected_bytes_per_s` is believed until the files have grown for `SETTLED_S`."""
        self._warn, self._stop = warn_minutes, stop_minutes
        self._expected = expected_bytes_per_s
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, elapsed_s: float, written: int, free: int) -> Room:
        """Judge.

        Args:
            elapsed_s: since the recording began; not decreasing.
            written: bytes in its files.
            free: bytes the disk has left for this user.
        """
        self._seen.append((elapsed_s, written))
        while self._seen[-1][0] - self._seen[0][0] > WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        (since_s, before), (now_s, now) = self._seen[0], self._seen[-1]
        settled = now_s - since_s >= SETTLED_S and now > before
        rate = (now - before) / (now_s - since_s) if settled else self._expected
        minutes = free / max(rate, 1.0) / 60
        state = "stop" if minutes < self._stop else "warn" if minutes < self._warn else "ok"
        return Room(state, minutes, rate)
