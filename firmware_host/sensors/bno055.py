"""BNO055: nine axes and Bosch's fusion of them, over I2C or, better, a UART.

The fusion runs at 100 Hz and has no ready flag, so that 20 Hz polling finds a new sample every time. What can
go wrong is silent: on I2C the chip stretches the clock in a way that a Raspberry Pi sometimes samples
wrongly, and a bit of the answer flips. A rotation has a quaternion of length one, which a flipped bit breaks.
A chip that lost its power comes back in configuration mode and answers zeros.
Source: Bosch BST-BNO055-DS000.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from firmware_host.driver import (
    MILLISECOND_NS,
    Answer,
    Read,
    SensorSpec,
    StartError,
    Startup,
    Step,
    Transfer,
    chosen,
    fetch,
    put,
    scaled,
)
from firmware_host.spec import Channel, Flag, TrackSpec

_CHIP_ID, _PAGE, _RAW, _QUATERNION = 0x00, 0x07, 0x08, 0x20
_UNITS, _MODE, _TRIGGER = 0x3B, 0x3D, 0x3F
_IDENTITY = 0xA0
_RESET, _CRYSTAL, _NDOF = 0x20, 0x80, 0x0C
_FIRST_SAMPLE_TRIES = 20

_UNIT = 2**14
_NORM_TOLERANCE = 0.01


def _vector(name: str, unit: str, scale: float, axes: str = "xyz") -> TrackSpec:
    return TrackSpec(name, tuple(Channel(axis, unit, scale) for axis in axes))


_FUSED = (
    _vector("quaternion", "1", 1 / _UNIT, "wxyz"),
    _vector("linear", "m/s^2", 0.01),
    _vector("gravity", "m/s^2", 0.01),
    TrackSpec(
        "status",
        (
            Channel("temperature", "degC"),
            *(Channel(f"calibration_{part}", "1") for part in ("system", "gyroscope", "accelerometer", "magnetometer")),
        ),
    ),
)
_MEASURED = (
    _vector("acceleration", "m/s^2", 0.01),
    _vector("magnetic", "uT", 1 / 16),
    _vector("rotation", "deg/s", 1 / 16),
)


class Bno055:
    """Driver of one BNO055.

    Options: ``raw`` (False): read acceleration, magnetic field and rotation rate as well, 46 bytes not 22.
    """

    settings: Mapping[str, Any] = {}
    shortest_period_ns = 10 * MILLISECOND_NS

    def __init__(self, options: Mapping[str, Any]) -> None:
        raw = chosen("bno055", options, {"raw": False})["raw"]
        self.tracks = _FUSED + _MEASURED if raw else _FUSED
        self._burst = fetch(_RAW, 46) if raw else fetch(_QUATERNION, 22)

    @property
    def costliest(self) -> tuple[Transfer, ...]:
        return (self._burst,)

    def start(self) -> Startup:
        """Reset (700 ms), units, crystal, fusion, and wait for its first quaternion."""
        _, identity = yield Step((put(_PAGE, 0), fetch(_CHIP_ID, 1)))
        _expect_identity(identity)
        yield Step((put(_TRIGGER, _RESET),), wait_ns=700 * MILLISECOND_NS, may_fail=True)
        (identity,) = yield Step((fetch(_CHIP_ID, 1),))
        _expect_identity(identity)
        # After a reset the chip is in configuration mode, where alone this may be written. The reset value
        # of the unit register differs between sources, so it is written, not assumed.
        yield Step((put(_UNITS, 0), put(_TRIGGER, _CRYSTAL)), wait_ns=10 * MILLISECOND_NS)
        yield Step((put(_MODE, _NDOF),), wait_ns=20 * MILLISECOND_NS)
        (found,) = yield Step((fetch(_UNITS, 3),))
        if found[0] != 0 or found[2] & 0x0F != _NDOF:
            raise StartError(f"BNO055 did not take its configuration (units, mode: {found.hex()})")
        for _ in range(_FIRST_SAMPLE_TRIES):
            (quaternion,) = yield Step((fetch(_QUATERNION, 8),))
            if any(quaternion):
                return
        raise StartError("BNO055 gives no quaternion; its fusion does not run")

    def read(self) -> Read:
        """CORRUPT where the quaternion is no rotation; all zeros ask for a restart."""
        burst = yield self._burst
        fused = burst[-22:]
        quaternion = struct.unpack("<4h", fused[:8])
        if not any(quaternion):
            return Answer(Flag.CORRUPT, restart=True)
        norm = sum(q * q for q in quaternion) ** 0.5 / _UNIT
        if abs(norm - 1) > _NORM_TOLERANCE:
            return Answer(Flag.CORRUPT)
        return Answer(Flag.FRESH, decode(burst))


def _expect_identity(identity: bytes) -> None:
    if identity[0] != _IDENTITY:
        raise StartError(f"no BNO055: identity {identity[0]:#04x}, not {_IDENTITY:#04x}")


def decode(burst: bytes) -> tuple[tuple[int, ...], ...]:
    """The 22 bytes from 0x20, or the 46 from 0x08, to the counts of each track."""
    fused = struct.unpack("<10hbB", burst[-22:])
    calibration = tuple(fused[11] >> shift & 3 for shift in (6, 4, 2, 0))
    counts = (fused[0:4], fused[4:7], fused[7:10], (fused[10], *calibration))
    if len(burst) == 22:
        return counts
    raw = struct.unpack("<9h", burst[:18])
    return (*counts, raw[0:3], raw[3:6], raw[6:9])


def _track(name: str) -> TrackSpec:
    return next(t for t in _FUSED + _MEASURED if t.name == name)


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """Counts to a unit quaternion's components, m/s^2, degC, uT or deg/s. (N, C) to (N, C)."""
    return scaled(_track(track), counts)


SPEC = SensorSpec(
    model="bno055",
    buses=("uart", "i2c"),
    addresses=(0x28, 0x29),
    rate_hz=20,
    make=Bno055,
    to_si=to_si,
    si_channels=lambda track: _track(track).channels,
    stretch_ns=180_000,
)
