"""A BNO055 in registers: reset, operating modes, and a fusion that steps a hundred times a second.

Its answers are those of the last fusion step, up to 10 ms old, as the real chip's are. Euler angles, which
nothing here reads, stay 0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from firmware_host.simulate.chip import Chip

_PAGE, _RAW, _QUATERNION, _MODE, _TRIGGER = 0x07, 0x08, 0x20, 0x3D, 0x3F
_RESET_NS = 650_000_000
_TO_FUSION_NS = 7_000_000
_STEP_NS = 10_000_000
_CALIBRATED_NS = 3_000_000_000
_GYROSCOPE_CALIBRATED, _ALL_CALIBRATED = 0x30, 0xFF
_EARTH_UT = (0.0, 20.0, -44.0)
_CONFIGURATION_MODE, _FUSION_MODES = 0x00, range(0x08, 0x0D)


class Bno055Chip(Chip):
    """The chip. `environment` gives quaternion, linear acceleration, gravity, rotation rate, degC."""

    addresses = (0x28, 0x29)
    data_registers = (_RAW, _QUATERNION)

    def power_up(self) -> None:
        super().power_up()
        self.registers[0:7] = bytes((0xA0, 0xFB, 0x32, 0x0F, 0x11, 0x03, 0x15))
        self.registers[0x3B] = 0x80
        self._fusion_ns = self.oscillator.now_ns()

    def written(self, register: int, value: int) -> None:
        """Settings are only taken in configuration mode."""
        if register == _TRIGGER and value & 0x20:
            self.power_up()
            self.deaf_until_ns = self.oscillator.now_ns() + _RESET_NS
        elif register == _MODE:
            self.registers[_MODE] = value & 0x0F
            self._fusion_ns = self.oscillator.now_ns() + _TO_FUSION_NS
        elif register == _PAGE or self.registers[_MODE] == _CONFIGURATION_MODE:
            self.registers[register] = value

    def read(self, n: int, byte_ns: int = 0) -> bytes:
        if self.registers[_PAGE] == 0 or self.pointer == _PAGE:
            return super().read(n, byte_ns)
        return bytes(n)

    def refresh(self, now_ns: int) -> None:
        """The last fusion step before now, in the units that were set (only the SI ones are known here)."""
        elapsed_ns = now_ns - self._fusion_ns
        if self.registers[_MODE] not in _FUSION_MODES or elapsed_ns < 0:
            self.registers[_RAW:0x36] = bytes(0x36 - _RAW)
            return
        values = self.feels(now_ns - elapsed_ns % _STEP_NS)
        quaternion, linear, gravity, rotation = values[:4], values[4:7], values[7:10], values[10:13]
        acceleration = [a + g for a, g in zip(linear, gravity, strict=True)]
        magnetic = _to_sensor(quaternion, _EARTH_UT)
        euler = (0.0, 0.0, 0.0)
        words = (
            *((acceleration, 100), (magnetic, 16), (rotation, 16), (euler, 16)),
            *((quaternion, 2**14), (linear, 100), (gravity, 100)),
        )
        counts = [_word(x * scale) for vector, scale in words for x in vector]
        calibration = _ALL_CALIBRATED if elapsed_ns >= _CALIBRATED_NS else _GYROSCOPE_CALIBRATED
        temperature = min(max(round(values[13]), -128), 127)
        self.registers[_RAW:0x36] = struct.pack("<22hbB", *counts, temperature, calibration)


def _word(x: float) -> int:
    return min(max(round(x), -(2**15)), 2**15 - 1)


def _to_sensor(quaternion: Sequence[float], vector: Sequence[float]) -> tuple[float, float, float]:
    """A world vector in the sensor's frame: the quaternion's conjugate applied to it."""
    w, x, y, z = quaternion
    a, b, c = vector
    tx, ty, tz = 2 * (z * b - y * c), 2 * (x * c - z * a), 2 * (y * a - x * b)
    return (
        a + w * tx + z * ty - y * tz,
        b + w * ty + x * tz - z * tx,
        c + w * tz + y * tx - x * ty,
    )
