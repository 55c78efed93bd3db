"""A kit's append-only log: what happened, line by line, on disk within half a second.

The manifest is sealed when a recording ends; a recording that was cut has only this log to say when its streams
began and how fast its microphone ran.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorder.samplerate import fit_rate

if TYPE_CHECKING:
    from recorder.session import Device, Stream

FLUSH_EVERY_S = 0.5


class KitLog:
    """Writes JSON lines; `flush` when told, at the latest every FLUSH_EVERY_S of recording."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, **fields: Any) -> None:
        """Append one entry."""
        self._file.write(json.dumps({"type": kind, **fields}, separators=(",", ":")) + "\n")

    def clocks(self) -> None:
        """Append the three clocks read together, so that any of them can be had from any other later."""
        self.write(
            "clock",
            monotonic_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC),
            realtime_ns=time.clock_gettime_ns(time.CLOCK_REALTIME),
            raw_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
        )

    def flush(self) -> None:
        """Hand what was written to the kernel."""
        self._file.flush()

    def close(self) -> None:
        """Put everything on the disk and close."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


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


def with_times(device: Device, entries: Iterable[dict[str, Any]]) -> Device:
    """The device of a cut recording, with the stream times that its log holds."""
    begun: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for entry in entries:
        if entry.get("type") == "stream":
            begun[entry["name"]] = entry["t0_ns"]
        elif entry.get("type") == "sound":
            pairs.append((entry["sample"], entry["t_ns"]))
    return replace(device, streams=tuple(_timed(s, begun, pairs) for s in device.streams))


def _timed(stream: Stream, begun: dict[str, int], pairs: list[tuple[int, int]]) -> Stream:
    if stream.kind == "audio" and (fit := fit_rate(pairs, round(stream.rate_hz))):
        return replace(stream, t0_ns=fit.t0_ns, rate_hz=fit.rate_hz)
    return replace(stream, t0_ns=begun.get(stream.name, stream.t0_ns))
