"""A CSV with the time of each picture, beside a film whose container does not know them.

Programs that write pictures as they come (OpenCV's writer, capture tools) give the file a constant rate and note the
true times in a table. The device's clock is then the table's, moved so that the first picture has the time that the
container gives it; sound in the same file keeps the container's times.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from firmware_host.errors import SessionError
from recorder.demux import container_frame_times_ns

UNITS = {
    "t_ns": 1,
    "timestamp_ns": 1,
    "timestamp [ns]": 1,
    "t_us": 10**3,
    "timestamp_us": 10**3,
    "t_ms": 10**6,
    "timestamp_ms": 10**6,
    "t_s": 10**9,
    "timestamp_s": 10**9,
}
"""Heads of a column of times and their units in ns. A bare ``timestamp`` does not say what it counts."""
LONGEST_NS = 2**62


def read(path: Path, video: Path) -> np.ndarray:
    """When each picture of `video` was taken: (F,) int64 ns on the device's clock, ascending.

    Raises:
        SessionError: no such column, a cell that is no time, times that do not go forward, or not one a picture.
    """
    shown_ns = container_frame_times_ns(video)
    times_ns = _column(path)
    if len(times_ns) != len(shown_ns):
        raise SessionError(
            f"{path} has {len(times_ns)} times and {video.name} {len(shown_ns)} pictures; there must be one a picture"
        )
    if not len(times_ns):
        raise SessionError(f"{video} holds no picture")
    back = np.flatnonzero(np.diff(times_ns) <= 0)
    if len(back):
        raise SessionError(f"{path} line {int(back[0]) + 3}: the time does not go forward; mend the table")
    return times_ns - times_ns[0] + shown_ns[0]


def _column(path: Path) -> np.ndarray:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [(h or "").strip() for h in reader.fieldnames or ()]
            head = next((h for h in reader.fieldnames if h in UNITS), None)
            if head is None:
                known = ", ".join(UNITS)
                raise SessionError(f"{path} has no column that says the unit of its times; call it one of {known}")
            return np.array([_time(row[head], UNITS[head], path, n) for n, row in enumerate(reader, 2)], np.int64)
    except (OSError, ValueError, csv.Error) as error:
        raise SessionError(f"{path} cannot be read as a table ({error})") from error


def _time(cell: str | None, unit: int, path: Path, line: int) -> int:
    """A cell as ns, exact to the digits that it has."""
    try:
        whole, _, rest = (cell or "").strip().partition(".")
        digits = len(str(unit)) - 1
        value = int(whole) * unit if not rest or digits == 0 else round(float(f"0.{rest}") * unit) + int(whole) * unit
    except ValueError:
        value = LONGEST_NS
    if abs(value) >= LONGEST_NS:
        raise SessionError(f"{path} line {line} has no time: '{(cell or '')[:40]}'")
    return value
