"""A BNO055 in registers: reset, operating modes, and a fusion that steps a hundred times a second.

Its answers are those of the last fusion step, up to 10 ms old, as the real chip's are. Euler angles, which
nothing here reads, stay 0.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.clock import Clock
from firmware_host.simulate.chip import Chip
from firmware_host.simulate.stimulus import Environment

_PAGE, _RAW, _QUATERNION, _MODE, _TRIGGER = 0x07, 0x08, 0x20, 0x3D, 0x3F
_RESET_NS = 650_000_000
_TO_FUSION_NS = 7_000_000
_STEP_NS = 10_000_000
_CALIBRATED_NS = 3_000_000_000
_GYROSCOPE_CALIBRATED, _ALL_CALIBRATED = 0x30, 0xFF
_EARTH_UT = np.array([0.0, 20.0, -44.0])
_CONFIGURATION_MODE, _FUSION_MODES = 0x00, range(0x08, 0x0D)


class Bno055Chip(Chip):
    """The chip. `environment` gives quaternion, linear acceleration, gravity, rotation rate, degC."""

    addresses = (0x28, 0x29)
    data_registers = (_RAW, _QUATERNION)

    def __init__(self, clock: Clock, environment: Environment) -> None:
        super().__init__(clock)
        self._environment = environment
        self._power_up()

    def _power_up(self) -> None:
        self.registers[:] = bytes(256)
        self.registers[0:7] = bytes((0xA0, 0xFB, 0x32, 0x0F, 0x11, 0x03, 0x15))
        self.registers[0x3B] = 0x80
        self._fusion_ns = self.clock.now_ns()

    def written(self, register: int, value: int) -> None:
        """Settings are only taken in configuration mode."""
        if register == _TRIGGER and value & 0x20:
            self._power_up()
            self.deaf_until_ns = self.clock.now_ns() + _RESET_NS
        elif register == _MODE:
            self.registers[_MODE] = value & 0x0F
            self._fusion_ns = self.clock.now_ns() + _TO_FUSION_NS
        elif register == _PAGE or self.registers[_MODE] == _CONFIGURATION_MODE:
            self.registers[register] = value

    def read(self, n: int) -> bytes:
        if self.registers[_PAGE] == 0 or self.pointer == _PAGE:
            return super().read(n)
        return bytes(n)

    def refresh(self) -> None:
        """The last fusion step before now, in the units that were set (only the SI ones are known here)."""
        elapsed_ns = self.clock.now_ns() - self._fusion_ns
        if self.registers[_MODE] not in _FUSION_MODES or elapsed_ns < 0:
            self.registers[_RAW:0x36] = bytes(0x36 - _RAW)
            return
        values = self._environment(self.clock.now_ns() - elapsed_ns % _STEP_NS)
        quaternion, linear, gravity, rotation, temperature = np.split(values, (4, 7, 10, 13))
        magnetic = _to_sensor(quaternion, _EARTH_UT)
        measured = _words((linear + gravity) * 100, magnetic * 16, rotation * 16)
        fused = _words(quaternion * 2**14, linear * 100, gravity * 100)
        calibration = _ALL_CALIBRATED if elapsed_ns >= _CALIBRATED_NS else _GYROSCOPE_CALIBRATED
        status = struct.pack("<bB", round(float(np.clip(temperature[0], -128, 127))), calibration)
        self.registers[_RAW:0x36] = measured + bytes(6) + fused + status


def _words(*vectors: np.ndarray) -> bytes:
    counts = np.clip(np.rint(np.concatenate(vectors)), -(2**15), 2**15 - 1)
    return counts.astype("<i2").tobytes()


def _to_sensor(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A world vector in the sensor's frame."""
    w, axis = quaternion[0], -quaternion[1:]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)
