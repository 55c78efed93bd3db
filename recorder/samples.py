"""From rows on the tick grid back to what the sensor measured, and when.

On disk a row exists for every tick, and most repeat the one before. The timing track says which are new and how
many microseconds after its tick each was read; only those are samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ
from firmware_host.driver import scaled
from firmware_host.sensors import SENSORS
from recorder.demux import fresh_ticks, read_rows
from recorder.series import Series
from recorder.session import Device, Session, Stream


def native_series(session: Session, device: Device, wanted: Sequence[Stream] | None = None) -> dict[str, Series]:
    """The samples of a device's sensor streams, on the device's clock.

    Args:
        wanted: some of its sensor streams; None for all.

    Returns:
        stream name -> its series; a stream that the file lacks, or whose timing it lacks, is absent.

    Raises:
        SessionError: the file cannot be read.
    """
    sensors = device.of_kind("sensor") if wanted is None else wanted
    if not sensors:
        return {}
    timing = {s.sensor: s.name for s in device.of_kind("timing")}
    needed = {s.name for s in sensors} | {timing[s.sensor] for s in sensors if s.sensor in timing}
    rows = read_rows(session.path(device.file), needed)
    return {
        s.name: samples(s, rows[s.name], rows[timing[s.sensor]], device)
        for s in sensors
        if s.name in rows and timing.get(s.sensor) in rows
    }


def samples(stream: Stream, rows: np.ndarray, timing: np.ndarray, device: Device) -> Series:
    """The new samples of one stream in SI units.

    Args:
        rows: (N * rows_per_tick, C) int32 counts.
        timing: (M, 3) int32: microseconds from the tick to the reading's midpoint, deviation, flag. A cut file
            can hold more of one than of the other; the shorter counts.

    Returns:
        K samples; a stream of several rows a tick has its rows side by side, row by row.
    """
    per_tick = stream.rows_per_tick
    ticks = min(len(timing), len(rows) // per_tick)
    fresh = fresh_ticks(timing[:ticks])
    t_ns = stream.t0_ns + fresh * SECOND_NS // TICK_HZ + timing[fresh, 0].astype(np.int64) * 1000
    counts = rows[: ticks * per_tick].reshape(ticks, per_tick, rows.shape[1])[fresh]
    si, names = _si(stream, counts.reshape(len(fresh) * per_tick, rows.shape[1]), device)
    if per_tick > 1:
        names = tuple(f"row{r}_{name}" for r in range(per_tick) for name in names)
    x = si.reshape(len(fresh), len(names))
    return Series(t_ns, x, np.ones(len(fresh), bool), names, device.clock)


def _si(stream: Stream, counts: np.ndarray, device: Device) -> tuple[np.ndarray, tuple[str, ...]]:
    """Counts by the chip's own conversion; by the scales in the manifest for a chip this version does not know."""
    spec = SENSORS.get(stream.model or "")
    if spec is None:
        return scaled(stream.track(), counts), tuple(c.name for c in stream.channels)
    track = stream.name.removeprefix(f"{stream.sensor}.")
    si = spec.to_si(track, counts, device.settings.get(stream.sensor or "", {}))
    return si, tuple(c.name for c in spec.si_channels(track))
