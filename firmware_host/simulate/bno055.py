"""A BNO055 in registers: two pages, operating modes and their switching times, calibration, and a fusion that steps a
hundred times a second.

Its answers are those of the last fusion step, up to 10 ms old, as the real chip's are; the magnetometer's are of one
step in five. A long read over I2C begins in one step and may end in the next: words are whole, bursts need not be.
The noise is a pure function of the seed and the step's number. Euler angles, which nothing here reads, stay 0, and
what it calibrates by is time alone, not movement.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence

import numpy as np

from firmware_host.simulate.chip import Chip

_PAGE, _RAW, _QUATERNION, _CALIBRATION = 0x07, 0x08, 0x20, 0x35
_SELF_TEST, _STATUS, _UNITS, _MODE, _POWER, _TRIGGER = 0x36, 0x39, 0x3B, 0x3D, 0x3E, 0x3F
_AXES, _SIGNS, _PROFILE = 0x41, 0x42, 0x55
_PROFILE_BYTES = 22
_SETTINGS = frozenset({_UNITS, _POWER, 0x40, _AXES, _SIGNS, *range(_PROFILE, _PROFILE + _PROFILE_BYTES)})
"""Taken in configuration mode alone."""

_RESET_NS, _SELF_TEST_NS = 650_000_000, 400_000_000
_TO_CONFIGURATION_NS, _TO_OTHERS_NS = 19_000_000, 7_000_000
_STEP_NS = 10_000_000
_MAGNETIC_STEPS = 5
_GYROSCOPE_NS, _MAGNETOMETER_NS, _ACCELEROMETER_NS = 500_000_000, 2_000_000_000, 3_000_000_000
"""How long each needs from 0 to 3 of 3; a real chip wants to be moved for it."""
_IDLE, _TESTING, _FUSING, _MEASURING = 0, 4, 5, 6

_EARTH_UT = (0.0, 20.0, -44.0)
_GRAVITY = 9.80665
_ACCELERATION_NOISE, _MAGNETIC_NOISE_UT, _ROTATION_NOISE_DEGS, _TURN_NOISE_RAD = 0.02, 0.3, 0.1, 0.0003
_ACCELEROMETER_MODES = frozenset({1, 4, 5, 7, 8, 9, 10, 11, 12})
_MAGNETOMETER_MODES = frozenset({2, 4, 6, 7, 9, 10, 11, 12})
_GYROSCOPE_MODES = frozenset({3, 5, 6, 7, 8, 11, 12})
_FIRST_FUSION_MODE, _LAST_MODE = 8, 12


class Bno055Chip(Chip):
    """The chip.

    `environment` gives a quaternion w, x, y, z (rotates sensor vectors into the world), linear acceleration x, y, z
    m/s^2, gravity x, y, z m/s^2 (a sensor at rest with z up: +9.81 on z), rotation rate x, y, z deg/s, degC; all
    vectors in the sensor's frame.
    """

    addresses = (0x28, 0x29)
    quiet = (1.0, *(0.0,) * 8, 9.81, *(0.0,) * 3, 31.0)
    data_registers = (_RAW, _QUATERNION)
    tolerance_ppm = 10_000  # its own oscillator; assumed
    tears = True

    def power_up(self) -> None:
        super().power_up()
        self.registers[0:7] = bytes((0xA0, 0xFB, 0x32, 0x0F, 0x11, 0x03, 0x15))
        self.registers[_SELF_TEST], self.registers[_UNITS], self.registers[_AXES] = 0x0F, 0x80, 0x24
        self._second_page = bytearray(256)
        self._second_page[_PAGE : _PAGE + 5] = bytes((1, 0x0D, 0x0B, 0x38, 0x00))
        self._mode_ns = self._tested_ns = -(2**62)
        self._turn = _Turn(0x24, 0x00)
        self._step = -1
        self._restored = False

    def written(self, register: int, value: int) -> None:
        """Settings are only taken in configuration mode, and what is measured cannot be written."""
        now_ns = self.oscillator.now_ns()
        if register == _PAGE:
            self.registers[_PAGE] = value & 1
        elif self.registers[_PAGE]:
            if 0x08 <= register <= 0x1F and self._configurable(now_ns):
                self._second_page[register] = value
        elif register == _TRIGGER:
            self._trigger(value, now_ns)
        elif register == _MODE:
            self._switch(value & 0x0F, now_ns)
        elif register in _SETTINGS and self._configurable(now_ns):
            self.registers[register] = value
            self._turn = _Turn(self.registers[_AXES], self.registers[_SIGNS])
            self._restored = self._restored or register >= _PROFILE

    def read(self, n: int, byte_ns: int = 0) -> bytes:
        """`n` bytes from the pointer on. A word of two bytes is as old as its first one."""
        now_ns = self.oscillator.now_ns()
        data = bytearray()
        for i, register in enumerate(range(self.pointer, self.pointer + n)):
            if not i or (byte_ns and register % 2 == 0):
                self.refresh(now_ns + i * byte_ns)
            second = self.registers[_PAGE] and register != _PAGE
            data.append((self._second_page if second else self.registers)[register % 256])
        self.pointer = (self.pointer + n) % 256
        return bytes(data)

    def refresh(self, now_ns: int) -> None:
        """The last fusion step before now, in the units that were set."""
        mode, elapsed_ns = self.registers[_MODE], now_ns - self._mode_ns
        testing = now_ns < self._tested_ns
        self.registers[_STATUS] = _TESTING if testing else _status(mode)
        if mode == 0 or elapsed_ns < 0 or testing:
            self.registers[_RAW:_SELF_TEST] = bytes(_SELF_TEST - _RAW)
            return
        step = elapsed_ns // _STEP_NS
        if step <= self._step:
            return
        self._step = step
        self.registers[_RAW:_CALIBRATION] = self._measured(mode, step)
        self.registers[_CALIBRATION] = self._calibration(mode, elapsed_ns)

    def _configurable(self, now_ns: int) -> bool:
        return self.registers[_MODE] == 0 and now_ns >= self._mode_ns

    def _trigger(self, value: int, now_ns: int) -> None:
        if value & 0x20:
            self.power_up()
            self.deaf_until_ns = now_ns + _RESET_NS
        elif value & 0x01:
            self._tested_ns = now_ns + _SELF_TEST_NS
        if value & 0x80 and self._configurable(now_ns):
            self.registers[_TRIGGER] |= 0x80  # the external crystal; the other bits read 0

    def _switch(self, mode: int, now_ns: int) -> None:
        """Into another mode, which begins a while later. What was calibrated is in the profile from then on."""
        if mode > _LAST_MODE or mode == self.registers[_MODE]:
            return
        self.refresh(now_ns)
        if mode == 0 and self.registers[_CALIBRATION] & 0x3F == 0x3F and not self._restored:
            self.registers[_PROFILE : _PROFILE + _PROFILE_BYTES] = found_profile(self.seed)
        self._mode_ns = now_ns + (_TO_OTHERS_NS if mode else _TO_CONFIGURATION_NS)
        self._step = -1
        self.registers[_MODE] = mode

    def _calibration(self, mode: int, elapsed_ns: int) -> int:
        """System, gyroscope, accelerometer, magnetometer, two bits each; only where they are used."""
        gyroscope = _thirds(elapsed_ns, _GYROSCOPE_NS) if mode in _GYROSCOPE_MODES else 0
        restored_ns = elapsed_ns + (max(_ACCELEROMETER_NS, _MAGNETOMETER_NS) if self._restored else 0)
        accelerometer = _thirds(restored_ns, _ACCELEROMETER_NS) if mode in _ACCELEROMETER_MODES else 0
        magnetometer = _thirds(restored_ns, _MAGNETOMETER_NS) if mode in _MAGNETOMETER_MODES else 0
        system = min(gyroscope, accelerometer, magnetometer)
        return system << 6 | gyroscope << 4 | accelerometer << 2 | magnetometer

    def _measured(self, mode: int, step: int) -> bytes:
        """The 45 bytes from 0x08 to the temperature."""
        values = self.feels(self._mode_ns + step * _STEP_NS)
        normal = random.Random(self.seed << 40 ^ step).gauss
        linear = [x + normal(0, _ACCELERATION_NOISE) for x in values[4:7]]
        gravity, celsius = values[7:10], values[13]
        rotation = [x + normal(0, _ROTATION_NOISE_DEGS) for x in values[10:13]]
        quaternion = _product(values[:4], (1.0, *(normal(0, _TURN_NOISE_RAD / 2) for _ in range(3))))
        acceleration = [a + g for a, g in zip(linear, gravity, strict=True)]
        units, turn = self.registers[_UNITS], self._turn
        per_acceleration = 1000 / _GRAVITY if units & 0x01 else 100
        per_rotation = 900 * math.pi / 180 if units & 0x02 else 16
        fused = mode >= _FIRST_FUSION_MODE
        counts = (
            *_counts(turn.vector(acceleration), per_acceleration, mode in _ACCELEROMETER_MODES),
            *_counts(turn.vector(self._magnetic(step)), 16, mode in _MAGNETOMETER_MODES),
            *_counts(turn.vector(rotation), per_rotation, mode in _GYROSCOPE_MODES),
            *(0, 0, 0),
            *_counts(turn.quaternion(quaternion), 2**14, fused),
            *_counts(turn.vector(linear), per_acceleration, fused),
            *_counts(turn.vector(gravity), per_acceleration, fused),
        )
        temperature = round((celsius * 9 / 5 + 32) / 2 if units & 0x10 else celsius)
        return struct.pack("<22hb", *counts, min(max(temperature, -128), 127))

    def _magnetic(self, step: int) -> list[float]:
        """The earth's field in the chip's frame at the magnetometer's last step, uT."""
        step -= step % _MAGNETIC_STEPS
        w, x, y, z = self.feels(self._mode_ns + step * _STEP_NS)[:4]
        _, *field = _product(_product((w, -x, -y, -z), (0.0, *_EARTH_UT)), (w, x, y, z))
        normal = random.Random(~(self.seed << 40 ^ step)).gauss
        return [x + normal(0, _MAGNETIC_NOISE_UT) for x in field]


def found_profile(seed: int) -> bytes:
    """The 22 bytes that a chip finds by itself: three offsets of three axes, and two radii."""
    normal = random.Random(seed).gauss
    offsets = [round(normal(0, spread)) for spread in (20, 200, 2) for _ in range(3)]
    return struct.pack("<11h", *offsets, 1000, 480)


def _status(mode: int) -> int:
    if mode == 0:
        return _IDLE
    return _FUSING if mode >= _FIRST_FUSION_MODE else _MEASURING


def _thirds(elapsed_ns: int, whole_ns: int) -> int:
    return min(max(3 * elapsed_ns // whole_ns, 0), 3)


def _counts(vector: Sequence[float], per_unit: float, on: bool) -> list[int]:
    return [min(max(round(x * per_unit), -(2**15)), 2**15 - 1) if on else 0 for x in vector]


class _Turn:
    """The two registers that say how the chip lies, as a rotation of its axes; none where they name an axis twice."""

    def __init__(self, which: int, signs: int) -> None:
        order = [which >> shift & 3 for shift in (0, 2, 4)]
        if sorted(order) != [0, 1, 2]:
            order, signs = [0, 1, 2], 0
        self._order = order
        self._signs = [-1 if signs >> shift & 1 else 1 for shift in (2, 1, 0)]
        matrix = np.eye(3)[order] * np.array(self._signs)[:, None]
        self._back = _quaternion_of(matrix.T)

    def vector(self, v: Sequence[float]) -> list[float]:
        """A vector in the frame that was asked for."""
        return [sign * v[axis] for axis, sign in zip(self._order, self._signs, strict=True)]

    def quaternion(self, q: Sequence[float]) -> list[float]:
        """What rotates vectors of that frame into the world, of length one."""
        turned = _product(q, self._back)
        norm = math.sqrt(sum(x * x for x in turned))
        return [x / norm for x in turned]


def _quaternion_of(matrix: np.ndarray) -> list[float]:
    """The unit quaternion of a rotation matrix, also of half a turn: the eigenvector of Bar-Itzhack's matrix."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    symmetric = [
        [a + e + i, h - f, c - g, d - b],
        [h - f, a - e - i, b + d, c + g],
        [c - g, b + d, e - a - i, f + h],
        [d - b, c + g, f + h, i - a - e],
    ]
    q = np.linalg.eigh(np.array(symmetric))[1][:, -1]
    found: list[float] = (q * np.sign(q[np.argmax(np.abs(q))])).tolist()
    return found


def _product(p: Sequence[float], q: Sequence[float]) -> list[float]:
    """Hamilton's product of two quaternions, w first."""
    a, b, c, d = p
    w, x, y, z = q
    return [
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    ]


CHIP = Bno055Chip
