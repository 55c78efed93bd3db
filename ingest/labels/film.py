"""From the time in a film to the session's reference clock, and back.

Whoever annotates sees a film and its player's time: 0 is time 0 of the film's file. For an imported film that is its
device's clock, or as near as a table of frame times says; for a kit it is tick 0, and pictures are late by what the
camera was measured to be (`recorder.clap`). From the device's clock on it is the map in `alignment.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ
from firmware_host.clockmap import ClockMap
from firmware_host.errors import SessionError, unknown_name
from ingest.ego import Aligned
from ingest.labels.label import Label
from recorder.demux import container_frame_times_ns
from recorder.samples import frame_times_ns
from recorder.session import Device


@dataclass(frozen=True)
class Film:
    """One film of a session.

    Attributes:
        device: name of the device that made it.
        path: its file.
        size: (width, height) in pixels.
        knots_ns, shift_ns: (K,) int64: at these times in the film, what to add to get the device's clock; between them
            along a line, outside them as at the nearest.
        frames_ns: (N,) int64, when each picture is shown, time in the film, ascending.
        to_reference: the device's clock to the reference.
    """

    device: str
    path: Path
    size: tuple[int, int]
    knots_ns: np.ndarray
    shift_ns: np.ndarray
    frames_ns: np.ndarray
    to_reference: ClockMap

    def reference_ns(self, film_ns: int) -> int:
        """Time in the film to the reference clock."""
        return self.to_reference.forward(film_ns + self._shift(film_ns, self.knots_ns))

    def film_ns(self, reference_ns: int) -> int:
        """The inverse of `reference_ns`, within 2 ns."""
        device_ns = self.to_reference.inverse(reference_ns)
        return device_ns - self._shift(device_ns, self.knots_ns + self.shift_ns)

    def _shift(self, t_ns: int, knots_ns: np.ndarray) -> int:
        first = int(self.shift_ns[0])  # what is interpolated is small: float64 holds it to the nanosecond
        since = np.interp(float(t_ns - int(knots_ns[0])), knots_ns - knots_ns[0], self.shift_ns - first)
        return first + round(float(since))


def film_of(aligned: Aligned, name: str) -> Film:
    """The film of a device, by the device's name or by the name of the film's file.

    Raises:
        SessionError: there is none, or it has no place on the reference clock.
    """
    films = {d.name: (d, m) for d, m in aligned.devices if d.of_kind("video")}
    wanted = Path(name).name
    by_file = {Path(d.file).name: d.name for d, _ in films.values()}
    found = films.get(by_file.get(wanted, wanted))
    if found is None:
        why = aligned.left_out.get(wanted)
        said = f"{name} is left out: {why}" if why else unknown_name("film", name, [*films, *by_file])
        raise SessionError(f"{aligned.session.root}: {said}")
    return _film(aligned, *found)


def films(aligned: Aligned) -> list[Film]:
    """All films that have a place on the reference clock, in the session's order."""
    return [_film(aligned, d, m) for d, m in aligned.devices if d.of_kind("video")]


def _film(aligned: Aligned, device: Device, to_reference: ClockMap) -> Film:
    session, stream = aligned.session, device.of_kind("video")[0]
    path = session.path(device.file)
    if stream.size is None:
        raise SessionError(f"{session.root}: {device.name}'s film has no size in session.json; add it again")
    shown_ns = container_frame_times_ns(path)
    if device.kind == "kit":
        ticks = (s.t0_ns for s in device.streams if s.kind in ("sensor", "timing") and s.sensor)
        tick0_ns = next(ticks, stream.t0_ns - int(shown_ns[0]) if len(shown_ns) else stream.t0_ns)
        knots, shift = np.zeros(1, np.int64), np.array([tick0_ns - (stream.latency_ns or 0)], np.int64)
    elif device.settings.get(stream.name, {}).get("frame_times") and len(shown_ns):
        told_ns = frame_times_ns(session, device)
        count = min(len(told_ns), len(shown_ns))
        knots, shift = shown_ns[:count], told_ns[:count] - shown_ns[:count]
    else:
        knots, shift = np.zeros(1, np.int64), np.zeros(1, np.int64)
    return Film(device.name, path, stream.size, knots, shift, shown_ns, to_reference)


def span_ns(aligned: Aligned) -> tuple[int, int] | None:
    """From the first to the last moment of what any device recorded, on the reference clock; None: nobody knows."""
    spans = []
    for device, to_reference in aligned.devices:
        span = _recorded_ns(aligned, device)
        if span:
            spans.append((to_reference.forward(span[0]), to_reference.forward(span[1])))
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


def _recorded_ns(aligned: Aligned, device: Device) -> tuple[int, int] | None:
    """From the first picture or tick of a device to the end of its last, on its own clock."""
    edges = []
    if device.of_kind("video"):
        times = frame_times_ns(aligned.session, device)
        period_ns = round(SECOND_NS / (device.of_kind("video")[0].rate_hz or 30))
        edges += [int(times.min()), int(times.max()) + period_ns] if len(times) else []
    if device.kind == "kit" and device.streams:
        edges.append(min(s.t0_ns for s in device.streams))
        counted = aligned.session.receipt.get("devices", {})
        ticks = counted.get(device.name, {}).get("ticks") if isinstance(counted, dict) else None
        edges += [edges[-1] + ticks * SECOND_NS // TICK_HZ] if isinstance(ticks, int) else []
    return (min(edges), max(edges)) if edges else None


def outside(labels: list[Label], span: tuple[int, int]) -> list[Label]:
    """The labels of which no part is in the recording; one that reaches over its edge is in it."""
    return [n for n in labels if n.t1_ns < span[0] or n.t0_ns > span[1]]
