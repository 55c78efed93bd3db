"""The disk as a recording sees it: how many minutes still fit, when to end, and room to end in.

A disk that runs full in the middle of a recording costs at most a block, but it costs it at a moment nobody chose. So
the recorder ends while everything can still be written. What others do to the disk it cannot know: a reserve, taken at
the start and given back at the end, lets it close its files even when the disk is full. It never deletes a recording.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_host.clock import TICK_HZ
from firmware_host.errors import SessionError
from recorder.writer import KitLayout

RESERVE = ".reserve"
RESERVE_BYTES = 4 * 1024 * 1024
"""A day's cues, a manifest, and the last of a log."""
WINDOW_S = 60.0
SETTLED_S = 10.0
"""Before this the growth of the files says less than the configuration."""


_SOUND_BYTES, _ROW_BYTES, _TRACK_BYTES_PER_S = 2.0, 0.15, 150.0
"""A sample of sound, a number of a sensor, and a track's blocks, as FLAC packs them in the simulated home."""


def expected_bytes_per_s(layout: KitLayout, bit_rate: int) -> float:
    """What a kit will write, judged from its configuration. `bit_rate` is the video's, bits per second."""
    video = bit_rate / 8 if layout.fps else 0.0
    sound = (layout.sound_hz or 0) * _SOUND_BYTES
    widths = [t.rows_per_tick * len(t.channels) for sensor in layout.sensors for t in sensor.tracks]
    widths += [3] * len(layout.sensors)
    return video + sound + sum(w * TICK_HZ * _ROW_BYTES + _TRACK_BYTES_PER_S for w in widths)


@contextmanager
def reserved(root: Path) -> Iterator[None]:
    """Keep `RESERVE_BYTES` aside while recording, so that a full disk still has room to end in.

    Raises:
        SessionError: the disk has not even those.
    """
    try:
        with (root / RESERVE).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
    except OSError as error:
        release_reserve(root)
        raise SessionError(
            f"{root}: the disk has no {RESERVE_BYTES >> 20} MB left to record into ({error.strerror}); free some"
        ) from error
    try:
        yield
    finally:
        release_reserve(root)


def release_reserve(root: Path) -> None:
    """Give the reserve back."""
    (root / RESERVE).unlink(missing_ok=True)


@dataclass(frozen=True)
class Room:
    """What a look at the disk says. `state` is ``ok``, ``warn`` or ``stop``."""

    state: str
    minutes: float
    bytes_per_s: float

    def sentence(self) -> str:
        """What to tell a person."""
        left = f"the disk has room for {self.minutes:.1f} more minutes at {self.bytes_per_s / 1e6:.2f} MB/s"
        if self.state == "stop":
            return f"{left}, so the recording was ended while it can be sealed; free space before the next"
        return left


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


class DiskWatch:
    """Looks at the disk of a recording once a second. May be asked from several threads."""

    def __init__(self, root: Path, guard: DiskGuard) -> None:
        self._root, self._guard = root, guard
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._state = "ok"

    def look(self, elapsed_s: float) -> Room:
        """The room that is left now."""
        written = sum(e.stat().st_size for e in os.scandir(self._root) if e.is_file() and e.name != RESERVE)
        return self._guard.look(elapsed_s, written, shutil.disk_usage(self._root).free)

    def check(self, elapsed_s: float) -> Room | None:
        """The room that is left, where its state has changed for the worse since the last look; None otherwise."""
        with self._lock:
            if elapsed_s < self._next_s:
                return None
            self._next_s = elapsed_s + 1.0
            room = self.look(elapsed_s)
            before, self._state = self._state, room.state
            return room if room.state != before and room.state != "ok" else None
