"""How devices of a session turned, by their own sensors: a kit's BNO055, a GoPro's telemetry, an eye tracker's IMU."""

from __future__ import annotations

import numpy as np

from firmware_host.errors import SessionError
from recorder.samples import native_series
from recorder.series import Series
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
    best = {s.sensor: s for wanted in (QUATERNION, ROTATION) for s in own if s.name.endswith(f".{wanted}")}
    for stream in best.values():
        if stream.rows_per_tick != 1:
            raise SessionError(f"{device.file}: {stream.name} has {stream.rows_per_tick} rows a tick, and a BNO055 one")
    return {name: _bno055(series, name) for name, series in native_series(session, device, [*best.values()]).items()}


def _bno055(series: Series, name: str) -> Turning:
    t_ns = series.t_ns - round(AGE_NS)
    values = series.x.astype(np.float64)
    late: Late = ((f"age of {name} of {series.clock}", AGE_SIGMA_NS),)
    if name.endswith(f".{ROTATION}"):
        return Turning(series.clock, t_ns, np.radians(values), late=late)
    return from_orientation(series.clock, t_ns, values, late)
