"""BNO055: nine axes and Bosch's fusion of them, over I2C or, better, a UART.

The fusion runs at 100 Hz and has no ready flag: at 60 Hz and less every reading finds a new sample, and a burst that
equals the one before is one that stands still. What can go wrong is silent. On I2C the chip stretches the clock in a
way that a Raspberry Pi sometimes samples wrongly, and a bit of the answer flips; a rotation has a quaternion of length
one, which a flipped bit breaks. A chip that lost its power comes back in configuration mode and answers zeros.

It calibrates itself while it is moved and forgets it without power. The 22 bytes that hold what it has found are read
when a recording ends and can be given back at the next start. Source: Bosch BST-BNO055-DS000.
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
from firmware_host.errors import ConfigError, unknown_name
from firmware_host.spec import Channel, Flag, TrackSpec

_CHIP_ID, _PAGE, _RAW, _QUATERNION, _CALIBRATION = 0x00, 0x07, 0x08, 0x20, 0x35
_UNITS, _MODE, _TRIGGER, _AXES, _PROFILE = 0x3B, 0x3D, 0x3F, 0x41, 0x55
_IDENTITY = 0xA0
_RESET, _CRYSTAL, _CONFIGURATION, _NDOF = 0x20, 0x80, 0x00, 0x0C
_TO_CONFIGURATION_NS, _TO_FUSION_NS = 20 * MILLISECOND_NS, 10 * MILLISECOND_NS
"""19 and 7 ms by table 3-6, and a little."""
_FIRST_SAMPLE_TRIES = 20

_PROFILE_BYTES = 22
_SENSORS_CALIBRATED = 0x3F
"""Gyroscope, accelerometer and magnetometer at 3 of 3. The fourth, the system's, comes and goes with movement and adds
nothing to the 22 bytes."""
_AXIS_MAPS = {
    **{"P0": (0x21, 0x04), "P1": (0x24, 0x00), "P2": (0x24, 0x06), "P3": (0x21, 0x02)},
    **{"P4": (0x24, 0x03), "P5": (0x21, 0x01), "P6": (0x21, 0x07), "P7": (0x24, 0x05)},
}
"""How the chip can lie on its board (datasheet section 3.4): which axis is which, and which point the other way."""

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

    Options:
        raw: read acceleration, magnetic field and rotation rate as well, 46 bytes instead of 22 (False: five on one
            I2C lane are then read at 20 Hz. On a UART there is room for all of it, up to 60 Hz).
        axis_map: how it lies, "P0" to "P7" of the datasheet ("P1", its default).
        profile: 44 hexadecimal digits that an earlier recording's settings hold ("" starts from nothing).

    Its settings end with the profile of this recording, if all three sensors were calibrated at its end.
    """

    shortest_period_ns = 10 * MILLISECOND_NS

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        self._options = chosen("bno055", options, {"raw": False, "axis_map": "P1", "profile": ""})
        if self._options["axis_map"] not in _AXIS_MAPS:
            raise ConfigError(f"bno055: {unknown_name('axis_map', self._options['axis_map'], _AXIS_MAPS)}")
        self._profile = _parsed(self._options["profile"])
        raw = self._options["raw"]
        self.tracks = _FUSED + _MEASURED if raw else _FUSED
        self._burst = fetch(_RAW, 46) if raw else fetch(_QUATERNION, 22)
        self.settings: Mapping[str, Any] = {}
        self._previous = b""
        self._stands_still = False

    @property
    def costliest(self) -> tuple[Transfer, ...]:
        return (self._burst,)

    def start(self) -> Startup:
        """Reset (700 ms), units, axes, crystal, profile, fusion, and wait for its first quaternion."""
        _, identity = yield Step((put(_PAGE, 0), fetch(_CHIP_ID, 1)))
        _expect_identity(identity)
        yield Step((put(_TRIGGER, _RESET),), wait_ns=700 * MILLISECOND_NS, may_fail=True)
        (identity,) = yield Step((fetch(_CHIP_ID, 1),))
        _expect_identity(identity)
        axes = _AXIS_MAPS[self._options["axis_map"]]
        # After a reset the chip is in configuration mode, where alone this may be written. The reset value
        # of the unit register differs between sources, so it is written, not assumed.
        configure = (put(_UNITS, 0), put(_AXES, *axes), put(_TRIGGER, _CRYSTAL))
        yield Step(configure, wait_ns=10 * MILLISECOND_NS)
        if self._profile:
            yield Step((put(_PROFILE, *self._profile),))
            (kept,) = yield Step((fetch(_PROFILE, _PROFILE_BYTES),))
            if kept != self._profile:
                raise StartError(f"BNO055 did not take its calibration profile (it reads {kept.hex()})")
        yield Step((put(_MODE, _NDOF),), wait_ns=_TO_FUSION_NS)
        (found,) = yield Step((fetch(_UNITS, 8),))
        if (found[0], found[2] & 0x0F, *found[6:]) != (0, _NDOF, *axes):
            raise StartError(f"BNO055 did not take its configuration (0x3b reads {found.hex()})")
        for _ in range(_FIRST_SAMPLE_TRIES):
            (quaternion,) = yield Step((fetch(_QUATERNION, 8),))
            if any(quaternion):
                self._previous, self._stands_still = b"", False
                self.settings = dict(self._options)
                return
        raise StartError("BNO055 gives no quaternion; its fusion does not run")

    def read(self) -> Read:
        """CORRUPT where the quaternion is no rotation; zeros, or another mode, ask for a restart.

        After a burst in which nothing moved, not even the noise, a slot is spent on the question whether the chip has
        left its mode.
        """
        if self._stands_still:
            self._stands_still = False
            mode = yield fetch(_MODE, 1)
            if mode[0] & 0x0F != _NDOF:
                return Answer(Flag.CORRUPT, restart=True)
            return Answer(Flag.STALE, decode(self._previous))
        burst = yield self._burst
        quaternion = struct.unpack("<4h", burst[-22:-14])
        if not any(quaternion):
            return Answer(Flag.CORRUPT, restart=True)
        norm = sum(q * q for q in quaternion) ** 0.5 / _UNIT
        if abs(norm - 1) > _NORM_TOLERANCE:
            return Answer(Flag.CORRUPT)
        self._stands_still = burst == self._previous
        self._previous = burst
        return Answer(Flag.STALE if self._stands_still else Flag.FRESH, decode(burst))

    def finish(self) -> Startup:
        """Into `settings`, the profile that this recording has found; the fusion runs again afterwards."""
        calibration, _ = yield Step((fetch(_CALIBRATION, 1), put(_MODE, _CONFIGURATION)), wait_ns=_TO_CONFIGURATION_NS)
        profile, _ = yield Step((fetch(_PROFILE, _PROFILE_BYTES), put(_MODE, _NDOF)), wait_ns=_TO_FUSION_NS)
        if calibration[0] & _SENSORS_CALIBRATED == _SENSORS_CALIBRATED:
            self.settings = {**self.settings, "profile": profile.hex()}


def _parsed(profile: str) -> bytes:
    try:
        parsed = bytes.fromhex(profile)
    except ValueError:
        parsed = b"?"
    if len(parsed) not in (0, _PROFILE_BYTES):
        raise ConfigError(f"bno055: profile '{profile}' is not {2 * _PROFILE_BYTES} hexadecimal digits; copy it whole")
    return parsed


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
    identity=(fetch(_CHIP_ID, 1), bytes((_IDENTITY,))),
    ranges="rotation: all; ±39 m/s^2 (4 g); with `raw` also ±2000 deg/s, ±1300 uT (z ±2500)",
    rate_hz=20,
    make=Bno055,
    to_si=to_si,
    si_channels=lambda track: _track(track).channels,
    stretch_ns=180_000,
    finish=Bno055.finish,
)
