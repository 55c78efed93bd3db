"""Tobii Pro Glasses 2 and 3: the folder of a recording on the memory card. Untested on real files.

No public recording was found, so this follows what is written about the formats: Tobii's developer guides, and programs
that others wrote for files of their own (GlassesViewer, Niehorster et al. 2020; glassesTools).

Glasses 3: ``recording.g3`` names the files. ``gazedata.gz`` and ``imudata.gz`` hold a JSON object a line with a
``timestamp`` in seconds of the scene video's time; ``gaze2d`` is a share of the picture's width and height. Glasses
2: ``segments/K/fullstream.mp4`` and ``livedata.json.gz``, a JSON object a line with ``ts`` in microseconds of the
glasses' clock and a status ``s`` that is 0 where it is valid. Lines with ``vts`` say which time of the video a ``ts``
is (at its first picture, and every minute or so): through them everything is brought to the video's time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import SessionError
from recorder.demux import probe
from recorder.session import Device, Stream
from sync.importers.found import (
    EVENTS,
    SERIES,
    Event,
    Found,
    events_table,
    files_of,
    gaze_table,
    place,
    series_table,
    usual_rate,
)
from sync.importers.lines import json_file, json_lines, number, numbers

DEGREE = np.pi / 180
UNTESTED = "the Tobii importer follows the published format and has not been tried on a real recording"
LONGEST_S = 7 * 86_400.0
"""Times beyond a week are damaged ones."""


def is_tobii(path: Path) -> bool:
    """Whether a folder is one of the Glasses', by the names of its files."""
    return (path / "recording.g3").is_file() or bool(_segments(path))


def read(path: Path, name: str) -> Found:
    """The glasses that wrote the folder `path`; a recording of Glasses 2 with several segments is as many devices.

    Raises:
        SessionError: another kind of folder, or one without video or gaze.
    """
    if (path / "recording.g3").is_file():
        return _glasses3(path, name)
    segments = _segments(path)
    if not segments:
        raise SessionError(f"{path} is no recording of Tobii Pro Glasses: no recording.g3, no segments")
    found = [_glasses2(s, path, name if k == 0 else f"{name}-{k + 1}", name) for k, s in enumerate(segments)]
    return Found(
        tuple(d for f in found for d in f.devices),
        files_of(path, name),
        {at: table for f in found for at, table in f.tables.items()},
        (UNTESTED, *(n for f in found for n in f.notes)),
    )


def _segments(path: Path) -> list[Path]:
    """Folders with a video and its data, by number; the folder itself may be one."""
    if (path / "livedata.json.gz").is_file():
        return [path]
    numbered = [p for p in (path / "segments").glob("*") if p.name.isdigit() and (p / "livedata.json.gz").is_file()]
    return sorted(numbered, key=lambda p: int(p.name))


def _glasses3(path: Path, name: str) -> Found:
    about = json_file(path / "recording.g3")
    video = path / _named(about, "scenecamera", "scenevideo.mp4")
    rows, notes = json_lines(path / _named(about, "gaze", "gazedata.gz"))
    gaze = [r for r in rows if r.get("type", "gaze") == "gaze"]
    t_s = np.array([number(r.get("timestamp")) for r in gaze])
    share = np.array([numbers(_data(r).get("gaze2d"), 2) for r in gaze]).reshape(-1, 2)
    found = _eye_tracker(path, name, name, video, t_s, share)
    imu = path / _named(about, "imu", "imudata.gz")
    if imu.is_file():
        rows, more = json_lines(imu)
        notes += more
        t_s = np.array([number(r.get("timestamp")) for r in rows])
        for stream, key, unit, scale in (
            ("acceleration", "accelerometer", "m/s^2", 1.0),
            ("rotation", "gyroscope", "rad/s", DEGREE),
            ("magnetic", "magnetometer", "T", 1e-6),
        ):
            found = _with_series(found, stream, t_s, [_data(r).get(key) for r in rows], unit, scale)
    events = path / _named(about, "events", "eventdata.gz")
    if events.is_file():
        found, more = _with_events(found, events)
        notes += more
    return replace(found, files=files_of(path, name), notes=(UNTESTED, *found.notes, *notes))


def _glasses2(segment: Path, path: Path, name: str, folder: str) -> Found:
    rows, notes = json_lines(segment / "livedata.json.gz")
    ts = np.array([number(r.get("ts")) for r in rows]) * 1e-6
    good = np.array([r.get("s", 0) == 0 for r in rows], bool)
    video_s = np.array([number(r.get("vts")) for r in rows]) * 1e-6
    known = good & np.isfinite(video_s) & np.isfinite(ts)
    if not known.any():
        raise SessionError(f"{segment} says nowhere which time of its video is which, so its gaze cannot be placed")
    t_s = _through(ts, ts[known], video_s[known])
    share = np.array([numbers(r.get("gp"), 2) for r in rows]).reshape(-1, 2)
    looked = np.array(["gp" in r for r in rows], bool)
    share[~good] = np.nan
    found = _eye_tracker(path, name, folder, segment / "fullstream.mp4", t_s[looked], share[looked])
    for stream, key, unit, scale in (("acceleration", "ac", "m/s^2", 1.0), ("rotation", "gy", "rad/s", DEGREE)):
        values = [r.get(key) if ok else None for r, ok in zip(rows, good, strict=True)]
        found = _with_series(found, stream, t_s, values, unit, scale)
    return replace(found, notes=(*found.notes, *notes))


def _through(ts: np.ndarray, known_ts: np.ndarray, known_video: np.ndarray) -> np.ndarray:
    """Times of the glasses' clock as times of the video: between the known pairs along the line, outside at rate 1."""
    order = np.argsort(known_ts)
    a, b = known_ts[order], known_video[order]
    forward = np.concatenate([[True], (np.diff(a) > 0) & (np.diff(b) > 0)])
    a, b = a[forward], b[forward]
    return np.interp(ts, a, b) + np.minimum(ts - a[0], 0) + np.maximum(ts - a[-1], 0)


def _eye_tracker(path: Path, name: str, folder: str, video: Path, t_s: np.ndarray, share: np.ndarray) -> Found:
    """A device with scene video and gaze; `share` of the picture's width and height, NaN where missing."""
    streams = probe(video)
    size = next((s.size for s in streams if s.kind == "video"), None)
    if size is None:
        raise SessionError(f"{video} holds no picture, so gaze has nothing to be drawn on")
    t_ns, share, notes = _in_order("gaze", t_s, share)
    if not len(t_ns):
        raise SessionError(f"{path} holds no gaze; copy the recording again")
    share[(np.abs(share - 0.5) > 5).any(axis=1)] = np.nan
    gaze = Stream("gaze", "gaze", int(t_ns[0]), usual_rate(t_ns), size=size)
    tables = {place(name, "gaze", "csv"): gaze_table(t_ns, share * np.array(size) - 0.5)}
    device = Device(
        name=name,
        kind="eye_tracker",
        role="eye",
        clock=name,
        file=f"{folder}/{video.relative_to(path).as_posix()}",
        streams=(*streams, gaze),
        gaze=place(name, "gaze", "csv"),
    )
    return Found((device,), (), tables, notes)


def _with_series(found: Found, stream: str, t_s: np.ndarray, values: list[Any], unit: str, scale: float) -> Found:
    """The same with three axes more, where any row has them."""
    has = np.array([isinstance(v, list) for v in values], bool)
    if not has.any():
        return found
    x = np.array([numbers(v, 3) for v in values if isinstance(v, list)]) * scale
    t_ns, x, notes = _in_order(stream, t_s[has], x)
    if not len(t_ns):
        return found
    device = found.devices[0]
    table = series_table(t_ns, x.astype(np.float32), [(a, unit) for a in "xyz"])
    streams = (*device.streams, Stream(stream, SERIES, int(t_ns[0]), usual_rate(t_ns)))
    return Found(
        (replace(device, streams=streams),),
        found.files,
        {**found.tables, place(device.name, stream): table},
        (*found.notes, *notes),
    )


def _with_events(found: Found, path: Path) -> tuple[Found, list[str]]:
    try:
        rows, notes = json_lines(path)
    except SessionError:  # a recording in which nothing happened has an empty file
        return found, []
    timed = [(number(r.get("timestamp")), str(_data(r).get("tag") or r.get("type", ""))) for r in rows]
    events = [Event(round(t * 1e9), value) for t, value in timed if abs(t) < LONGEST_S]
    if not events:
        return found, notes
    device = found.devices[0]
    streams = (*device.streams, Stream("events", EVENTS, events[0].t_ns, 0.0))
    tables = {**found.tables, place(device.name, "events", "csv"): events_table(events)}
    return replace(found, devices=(replace(device, streams=streams),), tables=tables), notes


def _in_order(stream: str, t_s: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """(N,) int64 ns and rows by time, without times that cannot be; and a note where there were any."""
    good = np.abs(t_s) < LONGEST_S
    t_ns = np.rint(t_s[good] * 1e9).astype(np.int64)
    back, lost = int((np.diff(t_ns) < 0).sum()), int((~good).sum())
    order = np.argsort(t_ns, kind="stable")
    note = f"{stream}: {back} times go back, {lost} are no times and left out"
    return t_ns[order], x[good][order], (note,) if back or lost else ()


def _named(about: dict[str, Any], part: str, usual: str) -> str:
    """The file of a part, as recording.g3 says; never one outside the folder."""
    section = about.get(part)
    file = section.get("file") if isinstance(section, dict) else None
    return file if isinstance(file, str) and file == Path(file).name and file else usual


def _data(row: dict[str, Any]) -> dict[str, Any]:
    data = row.get("data")
    return data if isinstance(data, dict) else {}
