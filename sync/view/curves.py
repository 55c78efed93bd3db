"""Series as a screen can show them: for each column of pixels the least and the greatest value."""

from __future__ import annotations

from typing import Any

import numpy as np

from firmware_host.sensors import SENSORS
from recorder.samples import native_series
from recorder.series import Series
from recorder.session import Device, Session, Stream
from sync.gaze import read_gaze
from sync.importers.found import SERIES, read_channels, read_series

DIGITS = 7


def drawn(device: Device) -> list[Stream]:
    """The streams that are curves: sensors, imported series, and gaze that has no picture to be drawn on."""
    gaze = () if device.of_kind("video") else device.of_kind("gaze")
    return [*device.of_kind("sensor"), *device.of_kind(SERIES), *gaze]


def channels_of(session: Session, device: Device, stream: Stream) -> list[tuple[str, str]]:
    """Name and unit of each column of a series, without reading it.

    Raises:
        SessionError: its table is missing or damaged.
    """
    if stream.kind == "gaze":
        return [("x", "px"), ("y", "px")]
    if stream.kind == SERIES:
        return read_channels(session, device, stream)
    spec = SENSORS.get(stream.model or "")
    known = spec.si_channels(stream.name.removeprefix(f"{stream.sensor}.")) if spec else stream.channels
    return [(c.name, c.unit) for c in known]


def series_of(session: Session, device: Device) -> dict[str, Series]:
    """Every series of a device that is drawn, in SI units, by name; what cannot be read is absent.

    Raises:
        SessionError: the device's file cannot be read at all.
    """
    found = {s.name: read_series(session, device, s) for s in device.of_kind(SERIES)}
    if device.gaze and not device.of_kind("video"):
        gaze = read_gaze(session.path(device.gaze))
        fresh = np.ones(len(gaze.t_ns), bool)
        found["gaze"] = Series(gaze.t_ns, gaze.xy_px.astype(np.float32), fresh, ("x", "y"), device.clock)
    return found | native_series(session, device)


def columns(t_s: np.ndarray, x: np.ndarray, from_s: float, to_s: float, count: int) -> dict[str, Any]:
    """Least and greatest values in `count` columns of equal time.

    Args:
        t_s: (N,) float64, ascending, s of the page.
        x: (N, C).

    Returns:
        ``low`` and ``high``: for each of C channels `count` numbers, None where no sample falls; ``ranges``: for each
        the least and the greatest of the whole series, None where it has no finite value.
    """
    edges = np.searchsorted(t_s, np.linspace(from_s, to_s, count + 1))
    found = [_extremes(channel, edges) for channel in x.T]
    return {
        "low": [_listed(low) for low, _ in found],
        "high": [_listed(high) for _, high in found],
        "ranges": [_range(channel) for channel in x.T],
    }


def _range(channel: np.ndarray) -> list[float] | None:
    finite = channel[np.isfinite(channel)]
    return [float(finite.min()), float(finite.max())] if len(finite) else None


def _extremes(channel: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of each stretch between edges, NaN for an empty one; NaN samples count as none."""
    starts, stops = edges[:-1], edges[1:]
    has = stops > starts
    low, high = np.full(len(starts), np.nan), np.full(len(starts), np.nan)
    if has.any():
        # The stretches that are not empty follow one another, so each ends where the next begins.
        part = channel[: stops[has][-1]].astype(np.float64)
        low[has] = np.fmin.reduceat(part, starts[has])
        high[has] = np.fmax.reduceat(part, starts[has])
    return low, high


def _listed(values: np.ndarray) -> list[float | None]:
    return [float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in values.tolist()]
