"""Pupil Labs Neon: the folder that the Companion app writes, or the one that Pupil Cloud exports as CSV.

The app writes each stream as three files: ``NAME psK.raw`` with records, ``NAME psK.time`` with a time each (int64 ns
of UTC on the phone), and ``NAME.dtype`` with the fields of a record; K counts parts. The Cloud's export has
``gaze.csv``, ``world_timestamps.csv``, ``imu.csv``, ``events.csv`` and one MP4. Gaze is in pixels of the scene camera
(1600 x 1200). (docs.pupil-labs.com/neon, "Data format" and "Recording format"; the app's files as of its format 2.5.)

The device's clock is UTC less the time of the first scene picture, so that it is the time of the scene video, and its
pictures have the times of their own that the phone noted, not the container's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from firmware_host.errors import SessionError
from recorder.demux import container_frame_times_ns, probe
from recorder.session import Device, Stream
from sync.importers.found import (
    EVENTS,
    SERIES,
    Event,
    Found,
    camera_times,
    events_table,
    files_of,
    frame_table,
    gaze_table,
    place,
    series_table,
    usual_rate,
)
from sync.importers.lines import csv_columns, floats, json_file, whole_numbers

SCENE = "Neon Scene Camera v1"
TYPES = {"float32": "<f4", "float64": "<f8", "int32": "<i4", "int64": "<i8", "uint8": "u1"}
GAZE = [("x", "<f4"), ("y", "<f4")]
G, DEGREE, MM = 9.80665, np.pi / 180, 1e-3
CLOUD_IMU = {
    **{f"gyro_{a}": f"gyro {a} [deg/s]" for a in "xyz"},
    **{f"accel_{a}": f"acceleration {a} [g]" for a in "xyz"},
    **{f"quaternion_{a}": f"quaternion {a}" for a in "wxyz"},
}


def is_neon(path: Path) -> bool:
    """Whether a folder is a Neon's, by the names of its files."""
    if not (path / "info.json").is_file():
        return False
    return (path / "gaze.csv").is_file() or any(path.glob("gaze*.raw"))


def read(path: Path, name: str) -> Found:
    """The eye tracker that wrote the folder `path`, under `name`.

    Raises:
        SessionError: another kind of folder, or one without gaze.
    """
    if not is_neon(path):
        raise SessionError(f"{path} is no Neon recording: it has no info.json with gaze beside it")
    info = json_file(path / "info.json")
    if any(path.glob("PI world v1*")) or "glasses_serial_number" in info:
        raise SessionError(f"{path} is a Pupil Invisible recording, which is not read yet; give a Neon's")
    start = info.get("start_time")
    reading = _Reading(path, name, start if isinstance(start, int) and 0 < start < 2**62 else None)
    return reading.cloud() if (path / "gaze.csv").is_file() else reading.native()


@dataclass
class _Reading:
    """One folder while it is read."""

    path: Path
    name: str
    start_ns: int | None
    tables: dict[str, bytes] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def native(self) -> Found:
        scene = self.path / f"{SCENE} ps1.mp4"
        frames_ns = _times(scene.with_suffix(".time"))
        if (self.path / f"{SCENE} ps2.mp4").is_file():
            self.notes.append("its scene video has several parts, of which the first is used")
        stem = "gaze_200hz" if (self.path / "gaze_200hz.raw").is_file() else "gaze"
        t_ns, gaze = self._records(stem, np.dtype(GAZE))
        worn = self._worn(len(t_ns)) if stem == "gaze" or len(t_ns) == len(self._times_of("gaze")) else None
        xy = np.column_stack([gaze["x"], gaze["y"]]).astype(np.float64)
        if worn is not None:
            xy[~worn] = np.nan
        origin_ns = self._picture(scene if scene.is_file() else None, frames_ns)
        self._gaze(t_ns - origin_ns, xy)
        self._native_series("imu", origin_ns)
        self._native_series("eye_state", origin_ns)
        self._native_events(origin_ns)
        return self._found(scene if scene.is_file() else self.path / f"{stem}{'' if stem[-1] == 'z' else ' ps1'}.raw")

    def cloud(self) -> Found:
        columns = csv_columns(self.path / "gaze.csv", {"t": "timestamp [ns]", "x": "gaze x [px]", "y": "gaze y [px]"})
        t_ns = whole_numbers(columns["t"], self.path / "gaze.csv")
        world = self.path / "world_timestamps.csv"
        frames_ns = None
        if world.is_file():
            frames_ns = whole_numbers(csv_columns(world, {"t": "timestamp [ns]"})["t"], world)
        films = sorted(self.path.glob("*.mp4"))
        if len(films) > 1:
            raise SessionError(f"{self.path} has {len(films)} videos where an export has one; leave the scene video")
        origin_ns = self._picture(films[0] if films else None, frames_ns)
        self._gaze(t_ns - origin_ns, np.column_stack([floats(columns["x"]), floats(columns["y"])]))
        if (self.path / "imu.csv").is_file():
            imu = csv_columns(self.path / "imu.csv", {"t": "timestamp [ns]", **CLOUD_IMU})
            times_ns = whole_numbers(imu["t"], self.path / "imu.csv")
            values = {n: floats(imu[n]) for n in CLOUD_IMU}
            self._series("imu", times_ns - origin_ns, values)
        if (self.path / "events.csv").is_file():
            told = csv_columns(self.path / "events.csv", {"t": "timestamp [ns]", "name": "name"})
            times_ns = whole_numbers(told["t"], self.path / "events.csv") - origin_ns
            self._events([Event(int(t), v) for t, v in zip(times_ns, told["name"], strict=True)])
        return self._found(films[0] if films else self.path / "gaze.csv")

    def _picture(self, scene: Path | None, frames_ns: np.ndarray | None) -> int:
        """Add the scene camera; returns the UTC that is 0 on the device's clock."""
        if scene is None:
            self.notes.append("it has no scene video, so its gaze has no picture and no sound to be aligned by")
            first = next((int(t[0]) for t in (frames_ns,) if t is not None and len(t)), self.start_ns)
            if first is None:
                raise SessionError(f"{self.path}: neither info.json nor a scene video says when it began")
            return first
        self.streams += probe(scene)
        shown_ns = container_frame_times_ns(scene)
        if not len(shown_ns):
            raise SessionError(f"{scene} holds no picture; copy the recording again")
        if frames_ns is None or not len(frames_ns):
            raise SessionError(f"{self.path} has no times of its scene pictures, so its gaze cannot be placed on them")
        if len(frames_ns) != len(shown_ns) or (np.diff(frames_ns) <= 0).any():
            self.notes.append(
                f"{len(frames_ns)} times for {len(shown_ns)} pictures, or times that go back; the video's own are used"
            )
        else:
            self.tables[place(self.name, "camera")] = frame_table(frames_ns - frames_ns[0] + shown_ns[0])
        return int(frames_ns[0] - shown_ns[0])

    def _gaze(self, t_ns: np.ndarray, xy: np.ndarray) -> None:
        t_ns, xy = self._forward("gaze", t_ns, xy)
        if not len(t_ns):
            raise SessionError(f"{self.path} holds no gaze; copy the recording again")
        self.tables[place(self.name, "gaze", "csv")] = gaze_table(t_ns, xy)
        size = next((s.size for s in self.streams if s.kind == "video"), None)
        self.streams.append(Stream("gaze", "gaze", int(t_ns[0]), usual_rate(t_ns), size=size))

    def _series(self, stream: str, t_ns: np.ndarray, values: dict[str, np.ndarray]) -> None:
        """Add samples in SI units, by what the columns are called."""
        with np.errstate(all="ignore"):  # damaged values may be any bits
            columns = [_si(n, v) for n, v in values.items()]
            x = np.column_stack([v for _, _, v in columns]).astype(np.float32)
        t_ns, x = self._forward(stream, t_ns, x)
        if len(t_ns):
            self.tables[place(self.name, stream)] = series_table(t_ns, x, [(n, u) for n, u, _ in columns])
            self.streams.append(Stream(stream, SERIES, int(t_ns[0]), usual_rate(t_ns)))

    def _events(self, events: list[Event]) -> None:
        if events:
            self.tables[place(self.name, "events", "csv")] = events_table(events)
            self.streams.append(Stream("events", EVENTS, events[0].t_ns, 0.0))

    def _forward(self, stream: str, t_ns: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Without what lies days from the recording, which is a damaged time; in order of time."""
        good = np.abs(t_ns - np.median(t_ns)) < 86_400_000_000_000 if len(t_ns) else np.ones(0, bool)
        back = int((np.diff(t_ns[good]) < 0).sum())
        if back or not good.all():
            self.notes.append(f"{stream}: {back} times go back, {int((~good).sum())} are days away and left out")
        order = np.argsort(t_ns[good], kind="stable")
        return t_ns[good][order], x[good][order]

    def _native_series(self, stream: str, origin_ns: int) -> None:
        layout = _layout(self.path / f"{stream}.dtype")
        if layout is None or not any(self.path.glob(f"{stream} ps*.raw")):
            return
        t_ns, records = self._records(stream, layout)
        values = {n: records[n] for n in records.dtype.names or () if n != "timestamp_ns"}
        self._series(stream, t_ns - origin_ns, values)

    def _native_events(self, origin_ns: int) -> None:
        times = _times(self.path / "event.time")
        told: list[Event] = []
        if times is not None and (self.path / "event.txt").is_file():
            names = (self.path / "event.txt").read_text(errors="replace").splitlines()
            told = [Event(int(t) - origin_ns, n) for t, n in zip(times, names, strict=False)]
        layout = _layout(self.path / "blinks.dtype")
        if layout is not None and {"start_timestamp_ns", "end_timestamp_ns"} <= set(layout.names or ()):
            blinks = self._records("blinks", layout, timed=False)[1]
            for start, stop in zip(blinks["start_timestamp_ns"], blinks["end_timestamp_ns"], strict=True):
                told.append(Event(int(start) - origin_ns, "blink", int(stop) - origin_ns))
        near = [e for e in told if abs(e.t_ns) < 2**62]
        self._events(sorted(near, key=lambda e: e.t_ns))

    def _worn(self, samples: int) -> np.ndarray | None:
        """(N,) bool, whether the glasses were worn at each gaze sample; None where that is not told for each."""
        worn = [np.fromfile(p, np.uint8) for p in _parts(self.path, "worn")]
        flat = np.concatenate(worn) if worn else np.zeros(0, np.uint8)
        return flat > 0 if len(flat) == samples else None

    def _records(self, stem: str, layout: np.dtype, *, timed: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Times and records of a stream's parts; of each part as many as both of its files hold."""
        times, records = [np.zeros(0, np.int64)], [np.zeros(0, layout)]
        for raw in _parts(self.path, stem):
            data = raw.read_bytes()
            found = np.frombuffer(data, layout, len(data) // layout.itemsize)
            at = _times(raw.with_suffix(".time"))
            if at is None:
                at = np.zeros(len(found) if not timed else 0, np.int64)
            n = min(len(found), len(at))
            if len(data) % layout.itemsize or (timed and len(found) != len(at)):
                self.notes.append(f"{raw.name}: {len(found)} records with {len(at)} times, of which {n} are used")
            times.append(at[:n])
            records.append(found[:n])
        return np.concatenate(times), np.concatenate(records)

    def _times_of(self, stem: str) -> np.ndarray:
        found = [_times(p.with_suffix(".time")) for p in _parts(self.path, stem)]
        return np.concatenate([np.zeros(0, np.int64), *(t for t in found if t is not None)])

    def _found(self, file: Path) -> Found:
        device = Device(
            name=self.name,
            kind="eye_tracker",
            role="eye",
            clock=self.name,
            file=f"{self.name}/{file.name}",
            streams=tuple(self.streams),
            gaze=place(self.name, "gaze", "csv"),
            settings=camera_times(self.name) if place(self.name, "camera") in self.tables else {},
        )
        return Found((device,), files_of(self.path, self.name), self.tables, tuple(self.notes))


def _parts(path: Path, stem: str) -> list[Path]:
    """``STEM.raw``, or ``STEM ps1.raw`` and those that follow, by number."""
    if (path / f"{stem}.raw").is_file():
        return [path / f"{stem}.raw"]
    numbered = [(re.fullmatch(rf"{re.escape(stem)} ps(\d+)", p.stem), p) for p in path.glob(f"{stem} ps*.raw")]
    return [p for _, p in sorted((int(m.group(1)), p) for m, p in numbered if m)]


def _times(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    return np.frombuffer(data, "<i8", len(data) // 8)


def _layout(path: Path) -> np.dtype | None:
    """The fields of a record, as its maker lists them; None where there is no such list."""
    if not path.is_file():
        return None
    fields = re.findall(r'\(\s*"(\w+)"\s*,\s*"(\w+)"\s*\)', path.read_text(errors="replace"))
    if not fields or any(kind not in TYPES for _, kind in fields) or len({n for n, _ in fields}) < len(fields):
        raise SessionError(f"{path} lists fields that are not known; copy the recording again")
    return np.dtype([(name, TYPES[kind]) for name, kind in fields])


def _si(name: str, values: np.ndarray) -> tuple[str, str, np.ndarray]:
    """Name, unit and values in SI of a column of the maker's."""
    if name.startswith("gyro"):
        return name, "rad/s", values * DEGREE
    if name.startswith("accel"):
        return name, "m/s^2", values * G
    if name.endswith("_mm") or name.startswith("eyeball_center"):
        return name.removesuffix("_mm"), "m", values * MM
    return name, "rad" if "angle" in name else "", values
