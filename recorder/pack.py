"""Readings to rows: what was measured now and then becomes a value at every tick, with its history beside it.

Row = tick. A sensor track repeats the last value until a new one comes; the sensor's timing track says which
rows are new, when exactly they were read, and why a due one is missing. Both are integers, both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from firmware_host.clock import tick_ns
from firmware_host.spec import COUNT_LIMIT, Flag, Reading, TrackSpec

TIMING_CHANNELS = ("midpoint", "deviation", "flag")
"""Columns of a sensor's timing track: microseconds, microseconds, `Flag`."""
FRAME_CHANNELS = ("seconds", "microseconds", "flag")
"""Columns of a camera's timing track, as `frame_row` gives them."""


class SensorPacker:
    """Turns one sensor's readings into rows, tick after tick."""

    def __init__(
        self, sensor: str, tracks: Sequence[TrackSpec], t0_ns: int, due: Callable[[int], bool] = lambda _: False
    ) -> None:
        """`t0_ns` is tick 0 on the kit's clock. Rows before the first value are zero and flagged.

        `due` tells whether the plan has a reading at a tick; one that never came makes its row LOST.
        """
        self.sensor = sensor
        self._is_due = due
        self.tracks = tuple(tracks)
        self._t0_ns = t0_ns
        self._next = 0
        self._waiting: dict[int, Reading] = {}
        self._last = tuple(np.zeros((t.rows_per_tick, len(t.channels)), np.int32) for t in self.tracks)

    def add(self, reading: Reading) -> None:
        """Keep a reading until its tick is packed; one for a tick already packed is too late to have a row."""
        if reading.tick >= self._next:
            self._waiting[reading.tick] = reading

    def rows_until(self, tick: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Rows of all ticks before `tick` that were not given yet.

        Returns:
            one (n * rows_per_tick, C) int32 array per track, and the timing rows, (n, 3) int32: microseconds
            from the tick to the reading's midpoint, microseconds from the planned start to the true one, flag.
        """
        n = max(0, tick - self._next)
        values, held = [self._last], []
        timing = np.zeros((n, 3), np.int32)
        for i, k in enumerate(range(self._next, self._next + n)):
            reading = self._waiting.pop(k, None)
            if reading is None:
                timing[i, 2] = Flag.LOST if self._is_due(k) else Flag.HELD
            else:
                timing[i] = self._timing(reading)
                if reading.counts is not None:
                    values.append(
                        tuple(
                            np.array(c, np.int32).reshape(t.rows_per_tick, len(t.channels))
                            for c, t in zip(reading.counts, self.tracks, strict=True)
                        )
                    )
            held.append(len(values) - 1)
        self._next += n
        self._last = values[-1]
        rows = [np.stack(of_track)[held] for of_track in zip(*values, strict=True)]
        return [r.reshape(n * r.shape[1], r.shape[2]) for r in rows], timing

    def _timing(self, reading: Reading) -> tuple[int, int, int]:
        if reading.flag in (Flag.LATE, Flag.LOST):  # nothing was transferred, so there is nothing to time
            return 0, 0, reading.flag
        midpoint = (reading.t_ns - tick_ns(self._t0_ns, reading.tick)) // 1000
        deviation = (reading.start_ns - reading.planned_ns) // 1000
        return _saturate(midpoint), _saturate(deviation), reading.flag


def _saturate(microseconds: int) -> int:
    return max(-COUNT_LIMIT + 1, min(COUNT_LIMIT - 1, microseconds))


def frame_row(since_first_ns: int, flag: Flag = Flag.FRESH) -> tuple[int, int, int]:
    """One row of a camera's timing track: whole seconds and microseconds since the first frame, flag.

    Two columns, because microseconds alone leave 24 bits after eight seconds.
    """
    seconds, rest = divmod(since_first_ns, 1_000_000_000)
    return seconds, rest // 1000, flag
