"""What a session has to show, and when: the document that the page is built from, and the bodies it asks for."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError, SyncctlError
from recorder.series import Series
from recorder.session import Device, Session, Stream
from sync import alignment
from sync.alignment import Alignment
from sync.gaze import read_gaze
from sync.importers.found import EVENTS, read_events
from sync.view import media
from sync.view.blocks import Packets
from sync.view.curves import channels_of, columns, drawn, series_of
from sync.view.timeline import Timeline

THERMAL = 64
"""Pixels of the thermal image; a stream with as many columns is one."""


@dataclass
class Content:
    """A session, opened for looking at.

    Attributes:
        document: what the page is told (JSON).
        bodies: number -> what is played.
        curves: number -> device and name of a series.
        gazes: number -> (N,) times of the page in s, and (N, 2) pixels of the picture that it is drawn on.
    """

    session: Session
    timeline: Timeline
    document: dict[str, Any]
    bodies: list[media.Body] = field(default_factory=list)
    curves: list[tuple[Device, str]] = field(default_factory=list)
    gazes: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _series: dict[str, dict[str, Series]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def curve(self, number: int, from_s: float, to_s: float, count: int) -> dict[str, Any]:
        """A series thinned to `count` columns; see `sync.view.curves.columns`."""
        found = self.samples(number)
        if found is None:
            return {"low": [], "high": [], "ranges": []}
        return columns(self.timeline.page_s(found.clock, found.t_ns), found.x, from_s, to_s, count)

    def heat(self, number: int) -> bytes:
        """A thermal series as `_packed` numbers: pictures of 64 pixels in degC."""
        found = self.samples(number)
        if found is None or found.x.shape[1] != THERMAL:
            return _packed(np.zeros(0), np.zeros((0, THERMAL)))
        return _packed(self.timeline.page_s(found.clock, found.t_ns), found.x)

    def gaze(self, number: int) -> bytes:
        """Gaze as `_packed` numbers: x and y in pixels of the picture it is drawn on, NaN where it is missing."""
        return _packed(*self.gazes[number])

    def samples(self, number: int) -> Series | None:
        """A series by its number, on its device's clock; None where it cannot be read."""
        device, stream = self.curves[number]
        with self._lock:  # a kit's file is decoded once, for all of its sensors
            if device.name not in self._series:
                try:
                    self._series[device.name] = series_of(self.session, device)
                except SyncctlError:
                    self._series[device.name] = {}
        return self._series[device.name].get(stream)


def _packed(t_s: np.ndarray, x: np.ndarray) -> bytes:
    """Numbers for the page, little-endian: N and a 0 (uint32), N times (float64, s of the page), N rows (float32)."""
    return np.array([len(t_s), 0], "<u4").tobytes() + t_s.astype("<f8").tobytes() + x.astype("<f4").tobytes()


def opened(session: Session, done: Callable[[float], None] = lambda _: None) -> Content:
    """Open a session: reads the tables of its files, and no picture and no sound.

    Args:
        done: told 1 for every device.

    Raises:
        SessionError: it has no devices.
    """
    if not session.devices:
        raise SessionError(f"{session.root} has no devices; record one, or add one with `syncctl add`")
    aligned, warnings = _alignment(session)
    maps = {d.clock: _map(aligned, d.clock) for d in session.devices}
    begins = {c: min(s.t0_ns for d in session.devices if d.clock == c for s in d.streams) for c in maps}
    if aligned is not None:
        lost = sorted(c for c, m in maps.items() if m is None)
        warnings += [f"{c} is not aligned: it begins at 0 here, whenever it began." for c in lost]
    content = Content(session, Timeline(maps, begins), {})
    document: dict[str, Any] = {
        "id": session.id,
        "facts": [v for v in (session.activity, ", ".join(session.participants), session.place) if v],
        "aligned": None if aligned is None else _aligned(aligned),
        "videos": [],
        "sounds": [],
        "curves": [],
        "heat": [],
    }
    for device in session.devices:
        try:
            _add_device(content, document, device)
        except SyncctlError as error:
            warnings.append(f"{device.name} cannot be shown: {error}")
        done(1.0)
    _add_carried_gaze(content, document, aligned, warnings)
    document["labels"] = list(_labels(content, aligned, warnings))
    document["warnings"] = warnings
    document["duration_s"] = _end_s(content, document)
    content.document = document
    return content


def _alignment(session: Session) -> tuple[Alignment | None, list[str]]:
    if not (session.root / alignment.FILE).is_file():
        why = f"Not aligned yet: every clock begins at 0 here. Run `syncctl align {session.root}`."
        return None, [why] if len({d.clock for d in session.devices}) > 1 else []
    try:
        found = alignment.load(session.root)
    except SessionError as error:
        return None, [f"{error}; every clock begins at 0 here."]
    return found, list(found.warnings)


def _map(aligned: Alignment | None, clock: str) -> ClockMap | None:
    try:
        return aligned.to_reference(clock) if aligned is not None else None
    except EvidenceError:
        return None


def _aligned(aligned: Alignment) -> dict[str, Any]:
    sigma_ns = max((p.sigma_ns for m in aligned.maps for p in m.pieces), default=0.0)
    return {"reference": aligned.reference, "sigma_ms": round(sigma_ns * 1e-6, 3)}


def _add_device(content: Content, document: dict[str, Any], device: Device) -> None:
    packets = media.kit_tracks(content.session, device)
    for stream in device.of_kind("video")[:1]:
        _add_pictures(content, document, device, stream, packets)
    for stream in device.of_kind("audio")[:1]:
        for part in media.sounds(content.session, device, stream, packets):
            document["sounds"].append(_played(content, device, part, 0.0))
    for stream in drawn(device):
        _add_curve(content, document, device, stream)
    if device.gaze and device.of_kind("video"):
        gaze = read_gaze(content.session.path(device.gaze))
        _draw_gaze(content, document, device, content.timeline.page_s(device.clock, gaze.t_ns), gaze.xy_px)


def _add_pictures(
    content: Content, document: dict[str, Any], device: Device, stream: Stream, packets: dict[str, Packets]
) -> None:
    parts = media.pictures(content.session, device, stream, packets, content.timeline)
    for number, part in enumerate(parts):
        page_s = content.timeline.page_s(device.clock, part.t_ns)
        frame_s = float(np.median(np.diff(page_s))) if len(page_s) > 1 else 1 / max(stream.rate_hz, 1)
        entry = _played(content, device, part, frame_s)
        entry |= {"what": _what(device), "size": list(stream.size or (16, 9)), "frame_s": round(frame_s, 6), "gaze": []}
        document["videos"].append({**entry, "part": number, "parts": len(parts)})


def _played(content: Content, device: Device, part: media.Part, last_s: float) -> dict[str, Any]:
    """What the page must know of anything that is played; `last_s` is how long its last moment lasts."""
    content.bodies.append(part.body)
    knots = content.timeline.knots(device.clock, part.t_ns, part.player_s)
    return {
        "body": len(content.bodies) - 1,
        "device": device.name,
        "aligned": content.timeline.aligned(device.clock),
        "begin_s": knots[0][0],
        "end_s": round(knots[-1][0] + last_s, 6),
        "knots": knots,
    }


def _add_curve(content: Content, document: dict[str, Any], device: Device, stream: Stream) -> None:
    channels = channels_of(content.session, device, stream)
    number = len(content.curves)
    content.curves.append((device, stream.name))
    if stream.kind == "sensor" and len(channels) * stream.rows_per_tick == THERMAL:
        document["heat"].append({"curve": number, "device": device.name, "stream": stream.name})
        return
    document["curves"].append(
        {
            "curve": number,
            "device": device.name,
            "stream": stream.name,
            "aligned": content.timeline.aligned(device.clock),
            "channels": [{"name": n, "unit": u} for n, u in channels],
        }
    )


def _draw_gaze(
    content: Content, document: dict[str, Any], device: Device, t_s: np.ndarray, xy: np.ndarray, note: str = ""
) -> None:
    """Say that there is gaze to draw on a device's picture."""
    for video in document["videos"]:
        if video["device"] == device.name:
            video["gaze"].append({"gaze": len(content.gazes), "note": note})
            content.gazes.append((t_s, xy))


def _add_carried_gaze(
    content: Content, document: dict[str, Any], aligned: Alignment | None, warnings: list[str]
) -> None:
    """Gaze of an eye tracker on another camera, as `syncctl align` wrote it."""
    for found in aligned.gaze if aligned is not None else ():
        try:
            target = content.session.device(found.target)
            gaze = read_gaze(content.session.path(found.file))
        except SyncctlError as error:
            warnings.append(f"gaze of {found.source} on {found.target} cannot be shown: {error}")
            continue
        t_s = content.timeline.page_s(target.clock, gaze.t_ns)
        _draw_gaze(content, document, target, t_s, gaze.xy_px, f"carried over from {found.source}")


def _labels(content: Content, aligned: Alignment | None, warnings: list[str]) -> Iterator[dict[str, Any]]:
    """Tiers of intervals: the session's labels, and the events that imported devices noted."""
    session, timeline = content.session, content.timeline
    kits = [d for d in session.devices if d.kind == "kit"]
    clock = aligned.reference if aligned is not None else (kits or session.devices)[0].clock
    tiers: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((session.root / "labels").glob("*.csv")):
        try:
            for row in _rows(path):
                ends_s = timeline.page_s(clock, np.array([int(row["t0_ns"]), int(row["t1_ns"])]))
                tiers.setdefault(row["tier"], []).append(_interval(ends_s, row["value"], row["actor"]))
        except (SessionError, ValueError, KeyError, TypeError, OverflowError) as error:
            warnings.append(f"{path.name} cannot be shown: {error}")
    for device, stream in session.streams(EVENTS):
        try:
            for event in read_events(session, device, stream):
                until_ns = event.t_ns if event.until_ns is None else event.until_ns
                ends_s = timeline.page_s(device.clock, np.array([event.t_ns, until_ns]))
                tiers.setdefault(f"{device.name} {stream.name}", []).append(_interval(ends_s, event.value, None))
        except SessionError as error:
            warnings.append(str(error))
    for tier, intervals in tiers.items():
        yield {"tier": tier, "intervals": sorted(intervals, key=lambda i: (i["begin_s"], i["end_s"]))}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # as spreadsheets write it
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise SessionError(str(error)) from error


def _interval(ends_s: np.ndarray, value: str, actor: str | None) -> dict[str, Any]:
    begin, end = (round(float(t), 6) for t in ends_s)
    return {"begin_s": begin, "end_s": max(begin, end), "value": value, "actor": actor or None}


def _end_s(content: Content, document: dict[str, Any]) -> float:
    """The last moment of anything; only what has neither picture nor sound is read for it."""
    played = [*document["videos"], *document["sounds"]]
    ends = [m["end_s"] for m in played] + [i["end_s"] for tier in document["labels"] for i in tier["intervals"]]
    mute = {c["device"] for c in document["curves"]} - {m["device"] for m in played}
    for number, (device, _) in enumerate(content.curves):
        found = content.samples(number) if device.name in mute else None
        if found is not None and len(found.t_ns):
            ends.append(float(content.timeline.page_s(device.clock, found.t_ns[-1:])[0]))
    return round(max([1.0, *ends]), 6)


def _what(device: Device) -> str:
    words = {"ego": "head camera", "third": "room camera", "eye": "eye tracker", "body": "body"}
    who = f" of {device.wearer}" if device.wearer else ""
    return f"{words.get(device.role, device.kind)}{who}"
