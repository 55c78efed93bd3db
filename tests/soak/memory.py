"""Resident memory over a soak."""

from __future__ import annotations

import os
import resource
from pathlib import Path

FLAT_MB = 5.0


class Memory:
    """Resident memory from tick `after` on."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._first: float | None = None
        self._most = 0.0

    def on_tick(self, now: int, pid: int | None = None) -> None:
        """Look, once it is time."""
        if now < self._after:
            return
        resident = _resident_mb(pid or os.getpid())
        self._first = resident if self._first is None else self._first
        self._most = max(self._most, resident)

    def flat(self, name: object) -> bool:
        """Say how much it grew."""
        first = self._first or 0.0
        print(f"  {name}: {first:.1f} MB after the start, {self._most:.1f} MB at most", flush=True)
        return self._most - first <= FLAT_MB


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
