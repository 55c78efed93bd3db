"""What the machine itself has to say: temperature, the health of its clock, room on its disk. Facts, or None."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLOCK_EVERY_S = 15.0
DISK_WINDOW_S = 60.0
DISK_LEAST_S = 5.0
THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")


def temperature_c(path: Path = THERMAL) -> float | None:
    """Of the processor, degC."""
    try:
        return round(int(path.read_text()) / 1000, 1)
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class ClockState:
    """Whether wall time is kept by a server, and how far off it was last."""

    synchronised: bool | None
    offset_ms: float | None
    source: str | None

    def document(self) -> dict[str, Any]:
        return dict(self.__dict__)


def clock_state() -> ClockState:
    """By chrony where it runs, otherwise by what systemd knows. Takes up to a second: not for an event loop."""
    fields = _output("chronyc", "-c", "tracking").split(",")
    if len(fields) >= 5:
        reference, offset = fields[1], fields[4]
        known = reference not in ("", "7F7F0101")
        return ClockState(known, round(float(offset) * 1000, 3) if known else None, "chrony")
    answer = _output("timedatectl", "show", "--property=NTPSynchronized", "--value").strip()
    if answer in ("yes", "no"):
        return ClockState(answer == "yes", None, "systemd-timesyncd")
    return ClockState(None, None, None)


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


class DiskMinutes:
    """Minutes until a disk is full at the rate at which a recording has grown during the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def seen(self, now_s: float, written: int) -> None:
        """The recording has `written` bytes."""
        if self._seen and written < self._seen[-1][1]:
            self._seen.clear()  # a new recording
        self._seen.append((now_s, written))
        while now_s - self._seen[0][0] > DISK_WINDOW_S:
            self._seen.popleft()

    def minutes(self, free: int) -> float | None:
        """None while there is nothing to judge by."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last_s - first_s < DISK_LEAST_S or last <= first:
            return None
        return round(free / ((last - first) / (last_s - first_s)) / 60, 1)


class Host:
    """The facts together, each no older than it needs to be."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._disk = DiskMinutes()
        self._clock, self._clock_at = ClockState(None, None, None), -CLOCK_EVERY_S

    def refresh(self, now_s: float) -> None:
        """Ask what takes long; call from a thread."""
        if now_s - self._clock_at >= CLOCK_EVERY_S:
            self._clock, self._clock_at = clock_state(), now_s

    def document(self, written: int | None, now_s: float | None = None) -> dict[str, Any]:
        """The facts as JSON has them; `written` are the bytes of the running recording."""
        usage = shutil.disk_usage(self._root)
        if written is not None:
            self._disk.seen(time.monotonic() if now_s is None else now_s, written)
        return {
            "temperature_c": temperature_c(),
            "clock": self._clock.document(),
            "disk": {
                "free_gb": round(usage.free / 1e9, 2),
                "total_gb": round(usage.total / 1e9, 2),
                "minutes": self._disk.minutes(usage.free) if written is not None else None,
            },
        }
