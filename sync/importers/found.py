"""What an importer found, before anything is written: devices, the files that become part of the session, and tables.

The originals come into the session as they are. What has to be told apart from them is what this program made of
them: it lies beside them, in the folder ``NAME.tables``, and can be deleted and made again from the original. Every
table is one file of NumPy's (``.npz``): times stay int64 nanoseconds, no package is needed that a kit does not have,
and any Python opens it with ``numpy.load``. Gaze is the CSV that `sync.gaze` reads, and what is text is CSV too.

    NAME.mp4, NAME.xdf, NAME/...      the original: a file, or a folder with all that is in it
    NAME.tables/STREAM.npz            t_ns (N,), x (N, C), channels (C,), units (C,), and what else belongs to it
    NAME.tables/camera.npz            t_ns (F,) alone: when each picture was taken, where the container does not say it
    NAME.tables/gaze.csv              t_s, x_px, y_px
    NAME.tables/STREAM.csv            t_s, until_s, value: events
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from firmware_host.errors import SessionError
from recorder.series import Series
from recorder.session import Device, Session, Stream

SERIES, EVENTS = "series", "events"
"""Kinds of streams that lie in tables and not in the device's file."""


@dataclass(frozen=True)
class Found:
    """A recording of another maker, understood.

    Attributes:
        devices: what made it, with files as they will be called in the session.
        files: (original, its place in the session): copied or linked as they are.
        tables: place in the session -> contents.
        notes: sentences about what is damaged, missing or not read.
    """

    devices: tuple[Device, ...]
    files: tuple[tuple[Path, str], ...]
    tables: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that happened, at a time or over one; ns on the device's clock."""

    t_ns: int
    value: str
    until_ns: int | None = None


def files_of(folder: Path, name: str) -> tuple[tuple[Path, str], ...]:
    """Every file of a recording's folder and its place in the session, hidden ones left out."""
    found = ((p, p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.is_file())
    return tuple((p, f"{name}/{at.as_posix()}") for p, at in found if not any(x.startswith(".") for x in at.parts))


def usual_rate(t_ns: np.ndarray) -> float:
    """Samples a second, by the usual interval of ascending times; 0 where there is none."""
    step = float(np.median(np.diff(t_ns))) if len(t_ns) > 1 else 0.0
    return 1e9 / step if step > 0 else 0.0


def place(device: str, stream: str, suffix: str = "npz") -> str:
    """Where the table of a device's stream lies, relative to the session."""
    return f"{device}.tables/{stream}.{suffix}"


def series_table(t_ns: np.ndarray, x: np.ndarray, channels: Sequence[tuple[str, str]], **more: np.ndarray) -> bytes:
    """A table of samples.

    Args:
        t_ns: (N,) int64 ns on the device's clock, in the order of the recording.
        x: (N, C).
        channels: C pairs of name and unit.
        more: what else belongs to it: times as they were recorded, clock offsets.
    """
    names, units = [n for n, _ in channels], [u for _, u in channels]
    return _npz(t_ns=t_ns.astype(np.int64), x=x, channels=np.array(names, "U"), units=np.array(units, "U"), **more)


def frame_table(t_ns: np.ndarray) -> bytes:
    """A table of (F,) int64 frame times, ns on the device's clock."""
    return _npz(t_ns=t_ns.astype(np.int64))


def camera_times(device: str) -> dict[str, dict[str, str]]:
    """What a device's settings say where its frame times are in a table; `recorder.samples.frame_times_ns` reads it."""
    return {"camera": {"frame_times": place(device, "camera")}}


def gaze_table(t_ns: np.ndarray, xy_px: np.ndarray) -> bytes:
    """A gaze table: (N,) int64 ns on the device's clock; (N, 2) pixels of its scene camera, NaN where it is missing."""
    cells = [["" if not np.isfinite(v) else f"{v:.3f}" for v in row] for row in xy_px.tolist()]
    return _csv(("t_s", "x_px", "y_px"), ([_seconds(t), *c] for t, c in zip(t_ns.tolist(), cells, strict=True)))


def events_table(events: Iterable[Event]) -> bytes:
    """A table of events."""
    rows = ([_seconds(e.t_ns), "" if e.until_ns is None else _seconds(e.until_ns), e.value] for e in events)
    return _csv(("t_s", "until_s", "value"), rows)


def duration_s(tables: dict[str, bytes], device: str, stream: Stream) -> float:
    """From the first to the last time in a stream's table."""
    if stream.kind == SERIES:
        with np.load(io.BytesIO(tables[place(device, stream.name)]), allow_pickle=False) as table:
            return round(float(np.ptp(table["t_ns"])) * 1e-9, 3)
    rows = list(csv.DictReader(io.StringIO(tables[place(device, stream.name, "csv")].decode(), newline="")))
    return round((_ns(rows[-1]["t_s"]) - _ns(rows[0]["t_s"])) * 1e-9, 3) if rows else 0.0


def read_series(session: Session, device: Device, stream: Stream) -> Series:
    """The samples of a stream of kind `SERIES`; times that go back are put in order.

    Raises:
        SessionError: the table is missing or damaged.
    """
    table = _loaded(session.path(place(device.name, stream.name)), ("t_ns", "x", "channels"))
    order = np.argsort(table["t_ns"], kind="stable")
    x = table["x"][order].astype(np.float32)
    channels = tuple(str(c) for c in table["channels"])
    return Series(table["t_ns"][order], x, np.ones(len(x), bool), channels, device.clock)


def read_channels(session: Session, device: Device, stream: Stream) -> list[tuple[str, str]]:
    """Name and unit of each channel of a stream of kind `SERIES`.

    Raises:
        SessionError: the table is missing or damaged.
    """
    table = _loaded(session.path(place(device.name, stream.name)), ("channels", "units"))
    return [(str(n), str(u)) for n, u in zip(table["channels"], table["units"], strict=True)]


def read_events(session: Session, device: Device, stream: Stream) -> list[Event]:
    """The events of a stream of kind `EVENTS`.

    Raises:
        SessionError: the table is missing or damaged.
    """
    path = session.path(place(device.name, stream.name, "csv"))
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        return [Event(_ns(r["t_s"]), r["value"], _ns(r["until_s"]) if r["until_s"] else None) for r in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionError(f"{path} cannot be read as a table ({error}); add the recording again") from error


def _loaded(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as table:
            return {name: table[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SessionError(f"{path} cannot be read as a table ({error}); add the recording again") from error


def _npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    return out.getvalue().encode()


def _seconds(t_ns: int) -> str:
    whole, rest = divmod(abs(t_ns), 1_000_000_000)
    return f"{'-' if t_ns < 0 else ''}{whole}.{rest:09d}"


def _ns(seconds: str) -> int:
    sign = -1 if seconds.startswith("-") else 1
    whole, _, rest = seconds.lstrip("-").partition(".")
    return sign * (int(whole) * 1_000_000_000 + int(rest.ljust(9, "0")[:9] or 0))
