"""A GoPro's MP4: worn on the head unless told otherwise, so its pictures are the ego view (HOMAGE's ``v000``).

A long recording comes in chapters, GX010042.MP4, GX020042.MP4 and so on. They are one device: the files lie side by
side as they came, and a list that FFmpeg reads as one film (``NAME.ffconcat``) is what the device's file is called.
Telemetry is read from every chapter and put on the film's clock, which is the device's. A chapter's sound ends with a
whole block of its codec and not with the picture, so from the second chapter on sound may be a block (21 ms) off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.errors import SessionError
from recorder.demux import container_frame_times_ns, data_packets, probe
from recorder.session import Device, Stream
from sync.importers import gpmf
from sync.importers.found import SERIES, Found, place, series_table, usual_rate

SUFFIXES = (".mp4", ".mov")
CHAPTER = re.compile(r"(G[HXL])(\d\d)(\d{4})", re.IGNORECASE)
"""Codec, number of the chapter, number of the recording."""
OLD_FIRST, OLD_NEXT = re.compile(r"GOPR(\d{4})", re.IGNORECASE), re.compile(r"GP(\d\d)(\d{4})", re.IGNORECASE)
SERIES_OF = {
    "GYRO": ("gyroscope", ("x", "y", "z"), "rad/s"),
    "ACCL": ("accelerometer", ("x", "y", "z"), "m/s^2"),
    "SHUT": ("exposure", ("exposure",), "s"),
    "CORI": ("camera_orientation", ("w", "x", "y", "z"), "1"),
    "IORI": ("image_orientation", ("w", "x", "y", "z"), "1"),
    "GRAV": ("gravity", ("x", "y", "z"), "1"),
}
GPS = {
    "GPS5": ("latitude", "longitude", "altitude", "speed_2d", "speed_3d"),
    "GPS9": ("latitude", "longitude", "altitude", "speed_2d", "speed_3d", "days", "seconds", "dilution", "fix"),
}
GPS_UNITS = ("deg", "deg", "m", "m/s", "m/s", "d", "s", "1", "1")


@dataclass(frozen=True)
class Samples:
    """One sensor of a film.

    Attributes:
        t_ns: (N,) int64, ns of the film's time. x: (N, C) float64.
        channels: C pairs of name and unit.
        sigma_ns: how far all of `t_ns` may be off against the pictures, one standard deviation.
        utc: (N,) what the GPS said of the time, where the stream is the GPS's of an older camera; else empty.
    """

    t_ns: np.ndarray
    x: np.ndarray
    channels: tuple[tuple[str, str], ...]
    sigma_ns: float
    utc: tuple[str, ...] = ()


def read(path: Path, name: str) -> Found:
    """The GoPro that made `path` and the chapters beside it, under `name`.

    Raises:
        SessionError: not an MP4 with picture, as GoPros make; a chapter that is missing or of another kind.
    """
    parts = chapters(path)
    streams = describe(parts[0])
    for part in parts[1:]:
        if [(s.kind, s.rate_hz, s.size) for s in describe(part)] != [(s.kind, s.rate_hz, s.size) for s in streams]:
            raise SessionError(f"{part} is not of the same kind as {parts[0].name}; add it alone, from another folder")
    lengths_ns = [_length_ns(part) for part in parts]
    starts_ns = np.concatenate([[0], np.cumsum(lengths_ns)]).astype(np.int64)
    found = [telemetry(part) for part in parts]
    series = {s: _joined([f[s] for f in found], starts_ns) for s in found[0] if all(s in f for f in found)}
    tables = {place(name, s): _table(v) for s, v in series.items()}
    more = tuple(Stream(s, SERIES, int(v.t_ns[0]), round(usual_rate(v.t_ns), 3)) for s, v in series.items())
    settings = {s: {"sigma_ns": round(v.sigma_ns)} for s, v in series.items()}
    kept = f"{name}{path.suffix.lower()}"
    files: tuple[tuple[Path, str], ...] = ((path, kept),)
    if len(parts) > 1:
        kept = f"{name}.ffconcat"
        files = tuple((part, f"{name}/{part.name}") for part in parts)
        tables[kept] = _list(files, lengths_ns)
    device = Device(name, "gopro", "ego", name, kept, (*streams, *more), view="v000", settings=settings)
    return Found((device,), files, tables, _notes(series, len(parts)))


def describe(path: Path) -> tuple[Stream, ...]:
    """Picture and sound of one film.

    Raises:
        SessionError: not an MP4 with picture; GoPros make no other.
    """
    streams = probe(path)
    if path.suffix.lower() not in SUFFIXES or not any(s.kind == "video" for s in streams):
        raise SessionError(f"{path} is not an MP4 with picture, as GoPros make; add it with --as media")
    return streams


def chapters(path: Path) -> list[Path]:
    """All chapters of the recording that `path` is the first of, by number; `path` alone if it is no first chapter.

    Raises:
        SessionError: one between others is missing.
    """
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    same = [p for p in beside if p.suffix.lower() == path.suffix.lower() and p.is_file()]
    first, old = CHAPTER.fullmatch(path.stem), OLD_FIRST.fullmatch(path.stem)
    numbered = {1: path}
    if first and first.group(2) == "01":
        for p in same:
            m = CHAPTER.fullmatch(p.stem)
            if m and (m.group(1).upper(), m.group(3)) == (first.group(1).upper(), first.group(3)):
                numbered[int(m.group(2))] = p
    elif old:
        for p in same:
            m = OLD_NEXT.fullmatch(p.stem)
            if m and m.group(2) == old.group(1):
                numbered[int(m.group(1)) + 1] = p
    missing = set(range(1, max(numbered) + 1)) - set(numbered)
    if missing:
        raise SessionError(
            f"{path.parent} lacks chapter {min(missing)} of {path.name}; copy it there, or add what is whole from "
            "another folder"
        )
    return [numbered[k] for k in sorted(numbered)]


def telemetry(path: Path) -> dict[str, Samples]:
    """What the sensors of one film measured, by name; empty where it has no telemetry.

    Raises:
        SessionError: not a media file.
    """
    streams = gpmf.read(data_packets(path, gpmf.MAGIC))
    if not streams:
        return {}
    frames_ns = container_frame_times_ns(path)
    found = {}
    for key, stream in streams.items():
        width = stream.values.shape[1]
        if key in SERIES_OF:
            name, channels, unit = SERIES_OF[key]
            named = tuple((c, unit) for c in channels)
        elif key in GPS:
            name, named = "gps", tuple(zip(GPS[key], GPS_UNITS, strict=False))
        else:
            continue
        if width != len(named):
            continue
        t_ns = gpmf.times_ns(stream, streams, frames_ns)
        sigma_ns = gpmf.delay_sigma_ns(stream)
        utc = tuple(u for u, x in zip(stream.utc, stream.x, strict=True) for _ in x) if any(stream.utc) else ()
        found[name] = Samples(t_ns, gpmf.oriented(stream), named, sigma_ns, utc)
    return found


def _joined(parts: list[Samples], starts_ns: np.ndarray) -> Samples:
    t_ns = np.concatenate([p.t_ns + s for p, s in zip(parts, starts_ns, strict=False)])
    order = np.argsort(t_ns, kind="stable")  # two chapters may overlap by a sample
    utc = [u for p in parts for u in p.utc]
    return Samples(
        t_ns[order],
        np.concatenate([p.x for p in parts])[order],
        parts[0].channels,
        max(p.sigma_ns for p in parts),
        tuple(utc[k] for k in order) if len(utc) == len(t_ns) else (),
    )


def _table(samples: Samples) -> bytes:
    if samples.utc:
        return series_table(samples.t_ns, samples.x, samples.channels, utc=np.array(samples.utc, "U"))
    return series_table(samples.t_ns, samples.x, samples.channels)


def _length_ns(path: Path) -> int:
    """How long a chapter's picture is: its frames times their usual distance. The next chapter begins there."""
    t_ns = container_frame_times_ns(path)
    if not len(t_ns):
        raise SessionError(f"{path} holds no picture; copy the recording again")
    every_ns = (t_ns[-1] - t_ns[0]) / (len(t_ns) - 1) if len(t_ns) > 1 else 0.0
    return round(float(t_ns[-1] - t_ns[0] + every_ns))


def _list(files: tuple[tuple[Path, str], ...], lengths_ns: list[int]) -> bytes:
    """The list that FFmpeg plays as one film."""
    lines = ["ffconcat version 1.0"]
    for (_, at), long_ns in zip(files, lengths_ns, strict=True):
        lines += [f"file {at}", f"duration {long_ns / 1e9:.6f}"]
    return ("\n".join(lines) + "\n").encode()


def _notes(series: dict[str, Samples], parts: int) -> tuple[str, ...]:
    notes = []
    if "gyroscope" not in series:
        notes.append("it has no gyroscope in its telemetry, so how it turned is known from its pictures alone")
    elif "image_orientation" in series:
        turned = 2 * np.degrees(np.arccos(np.clip(np.abs(series["image_orientation"].x[:, 0]), 0, 1)))
        if np.percentile(turned, 95) > 1.0:
            notes.append("its pictures are stabilised: they turned less than its gyroscope felt")
    if parts > 1:
        notes.append(f"{parts} chapters are read as one film")
    return tuple(notes)
