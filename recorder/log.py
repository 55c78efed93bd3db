"""A kit's append-only log: what happened, line by line, on disk within half a second.

The manifest is sealed when a recording ends; a recording that was cut has only this log to say when its streams
began and how fast its microphone ran.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recorder.wall import WallReading


class KitLog:
    """Writes JSON lines; `flush` when told, which is twice a second of a recording.

    The file is locked as long as it is open, and the kernel gives the lock back however the recorder ends: whoever
    wants to mend a session can tell a dead recording from one under way.

    Attributes:
        fault: why the disk did not take what was written, None while it does. Nothing is raised: the recording ends.
    """

    def __init__(self, path: Path) -> None:
        self.fault: OSError | None = None
        self._file = path.open("a", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, kind: str, **fields: Any) -> None:
        """Append one entry."""
        with self._noting():
            self._file.write(json.dumps({"type": kind, **fields}, separators=(",", ":")) + "\n")

    def clocks(self, reading: WallReading) -> None:
        """Append the clocks of one moment, so that any of them can be had from any other later."""
        self.write("clock", **asdict(reading))

    def flush(self) -> None:
        """Hand what was written to the kernel."""
        with self._noting():
            self._file.flush()

    def close(self) -> None:
        """Put everything on the disk and close."""
        with self._noting():
            self._file.flush()
            os.fsync(self._file.fileno())
        with self._noting():
            self._file.close()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = self.fault or error


def being_written(path: Path) -> bool:
    """Whether a recorder has this log open now."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of a log. A last line that was cut is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry
