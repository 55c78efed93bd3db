"""What a device recorded, and when, on its own clock: its sensors' samples, its pictures' times, its sound.

On disk a row exists for every tick, and most repeat the one before. The timing track says which are new and how
many microseconds after its tick each was read; only those are samples. A camera's timing track has a row for each
picture, and sound has its rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ
from firmware_host.driver import scaled
from firmware_host.errors import SessionError
from firmware_host.sensors import SENSORS
from firmware_host.spec import Flag
from recorder.demux import container_frame_times_ns, read_rows, read_sound_file
from recorder.series import Series, Sound
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
    fresh = np.flatnonzero(timing[:ticks, 2] == Flag.FRESH)
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


def frame_times_ns(session: Session, device: Device) -> np.ndarray:
    """When each video frame was taken: (N,) int64 ns on the device's clock, by which its sound is timed too.

    What the camera stamps later than the microphone (`recorder.clap`) is taken off where it was measured.

    Raises:
        SessionError: the device has no video stream.
    """
    streams = device.of_kind("video")
    if not streams:
        raise SessionError(f"{device.name} recorded no video")
    path = session.path(device.file)
    if device.kind != "kit":
        told = device.settings.get(streams[0].name, {}).get("frame_times")
        return _told_times_ns(session.path(told)) if told else container_frame_times_ns(path)
    name = f"{streams[0].name}.timing"
    rows = read_rows(path, [name]).get(name)
    if rows is None:
        raise SessionError(f"{path} has no track '{name}', so its frames have no times")
    return picture_times_ns(streams[0].t0_ns - (streams[0].latency_ns or 0), rows)


def picture_times_ns(t0_ns: int, rows: np.ndarray) -> np.ndarray:
    """(N, 3) rows of a camera's timing track to (N,) int64 ns, `t0_ns` being the time of the first frame."""
    return t0_ns + rows[:, 0].astype(np.int64) * SECOND_NS + rows[:, 1].astype(np.int64) * 1000


def _told_times_ns(path: Path) -> np.ndarray:
    """Frame times that an importer found beside the film, which its container does not know."""
    try:
        with np.load(path, allow_pickle=False) as table:
            return np.asarray(table["t_ns"], np.int64)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise SessionError(f"{path} cannot be read ({error}); add the recording again") from error


def read_sound(session: Session, device: Device) -> Sound:
    """The sound a device recorded, with its samples' times on the device's clock.

    A kit's sound comes without its constant part: I2S microphones have one of several per cent of full scale, which the
    file keeps as it was. Samples of exactly 0 were lost, and stay 0.

    Raises:
        SessionError: the device has no audio stream, or the file cannot be read.
    """
    stream = device.sound
    sound = read_sound_file(session.path(device.file), device.clock)
    if device.kind != "kit":
        return sound
    return Sound(without_constant(sound.x), stream.rate_hz, stream.t0_ns, device.clock)


def without_constant(x: np.ndarray) -> np.ndarray:
    """(N,) float32 less the mean of its samples that are not exactly 0; those that are stay so."""
    heard = x != 0
    mean = x.mean(where=heard, dtype=np.float64) if heard.any() else 0.0
    return np.where(heard, x - np.float32(mean), np.float32(0)).astype(np.float32)
