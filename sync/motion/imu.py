"""How devices of a session turned, by their own sensors: a kit's BNO055, a GoPro's telemetry, an eye tracker's IMU."""

from __future__ import annotations

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ
from firmware_host.errors import SessionError
from firmware_host.sensors import SENSORS
from recorder.demux import fresh_ticks, read_rows
from recorder.session import Device, Session, Stream
from sync.importers.found import SERIES, read_series
from sync.motion.turning import Late, Turning, from_orientation

ROTATION, QUATERNION = "rotation", "quaternion"
"""Tracks of a BNO055: its gyroscope, where raw values were asked for, and the orientation that it always gives."""
GYROSCOPES = (("x", "y", "z"), ("gyro_x", "gyro_y", "gyro_z"))
"""Channels of imported series, rad/s; those of a GoPro and of a Neon."""
AGE_NS, AGE_SIGMA_NS = 5e6, 5e6
"""A BNO055 fuses at 100 Hz, so what is read is 0 to 10 ms old; its low-pass adds a few that nobody specifies."""
UNKNOWN_SIGMA_NS = 10e6


def turnings(session: Session, device: Device) -> dict[str, Turning]:
    """How a device turned, by each of its sensors that know.

    Returns:
        stream name -> turning on the device's clock, about the sensor's own axes; empty where none of them knows.

    Raises:
        SessionError: a file cannot be read.
    """
    found = {s.name: _imported(session, device, s) for s in device.of_kind(SERIES) if s.name in ("gyroscope", "imu")}
    return {**{n: t for n, t in found.items() if t is not None}, **_kit(session, device)}


def _imported(session: Session, device: Device, stream: Stream) -> Turning | None:
    series = read_series(session, device, stream)
    axes = next((a for a in GYROSCOPES if set(a) <= set(series.channels)), None)
    if axes is None:
        return None
    rate = series.x[:, [series.channels.index(a) for a in axes]].astype(np.float64)
    sigma_ns = float(device.settings.get(stream.name, {}).get("sigma_ns", UNKNOWN_SIGMA_NS))
    return Turning(device.clock, series.t_ns, rate, late=((f"delay of {device.clock}'s gyroscope", sigma_ns),))


def _kit(session: Session, device: Device) -> dict[str, Turning]:
    """The gyroscope of each BNO055, or what its orientation says."""
    own = [s for s in device.of_kind("sensor") if s.model == "bno055"]
    tracks = {s.sensor: s for wanted in (QUATERNION, ROTATION) for s in own if s.name.endswith(f".{wanted}")}
    if not tracks:
        return {}
    timing = {s.sensor: s.name for s in device.of_kind("timing")}
    names = {s.name for s in tracks.values()} | {timing[s] for s in tracks if s in timing}
    rows = read_rows(session.path(device.file), names)
    found = {}
    for sensor, stream in tracks.items():
        if stream.name in rows and timing.get(sensor) in rows:
            found[stream.name] = _bno055(device, stream, rows[stream.name], rows[timing[sensor]])
    return found


def _bno055(device: Device, stream: Stream, rows: np.ndarray, timing: np.ndarray) -> Turning:
    """Rows on the tick grid to turning; see `recorder.demux` for the columns of the timing track."""
    if stream.rows_per_tick != 1:
        raise SessionError(f"{device.file}: {stream.name} has {stream.rows_per_tick} rows a tick, and a BNO055 one")
    ticks = min(len(timing), len(rows))
    fresh = fresh_ticks(timing[:ticks])
    t_ns = stream.t0_ns + fresh * SECOND_NS // TICK_HZ + timing[fresh, 0].astype(np.int64) * 1000 - round(AGE_NS)
    track = stream.name.rpartition(".")[2]
    settings = device.settings.get(stream.sensor or "", {})
    values = SENSORS["bno055"].to_si(track, rows[fresh], settings).astype(np.float64)
    late: Late = ((f"age of {stream.name} of {device.clock}", AGE_SIGMA_NS),)
    if track == ROTATION:
        return Turning(device.clock, t_ns, np.radians(values), late=late)
    return from_orientation(device.clock, t_ns, values, late)
