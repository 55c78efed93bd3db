"""An AMG8833 in registers: a frame buffer that swaps on the chip's own oscillator, and sensor noise.

The oscillator is 0.4 % slow, as a real one is never exact, so that polling at 10 Hz meets one repeated frame
in 25 seconds. The noise (0.16 degC a pixel) is a pure function of the seed and the frame's number.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.simulate.chip import Chip

_POWER, _RESET, _THERMISTOR, _PIXELS = 0x00, 0x01, 0x0E, 0x80
_INITIAL_RESET = 0x3F
_FRAME_NS = 100_400_000
_FRAMES_UNTIL_VALID = 2
_NOISE_DEGC = 0.16


class Amg8833Chip(Chip):
    """The chip. `environment` gives 64 pixels and the housing, degC."""

    addresses = (0x68, 0x69)
    data_registers = (_THERMISTOR, _PIXELS)

    def power_up(self) -> None:
        super().power_up()
        self._begin()

    def _begin(self) -> None:
        """The oscillator starts; two frames pass before one is valid."""
        self._since_ns = self.oscillator.now_ns()
        self._frame = -1
        self._asleep = False

    def written(self, register: int, value: int) -> None:
        self.refresh(self.oscillator.now_ns())
        if register == _POWER:
            self._asleep = value == 0x10
            self.registers[_POWER] = value
        elif register == _RESET and value == _INITIAL_RESET:
            self.registers[:] = bytes(256)
            self._begin()
        elif register < _THERMISTOR and register != _RESET:
            self.registers[register] = value

    def refresh(self, now_ns: int) -> None:
        """Swap in the newest complete frame. A read takes all of its bytes from one."""
        frame = (now_ns - self._since_ns) // _FRAME_NS
        if self._asleep or frame == self._frame:
            return
        self._frame = frame
        values = self.feels(self._since_ns + frame * _FRAME_NS)
        self.registers[_THERMISTOR : _THERMISTOR + 2] = _sign_magnitude(values[64])
        if frame >= _FRAMES_UNTIL_VALID:
            noise = np.random.default_rng((self.seed, frame)).normal(0, _NOISE_DEGC, 64)
            counts = np.clip(np.rint((np.array(values[:64]) + noise) * 4), -2048, 2047).astype(int)
            self.registers[_PIXELS : _PIXELS + 128] = struct.pack("<64H", *(counts & 0xFFF))


def _sign_magnitude(degc: float) -> bytes:
    magnitude = min(round(abs(float(degc)) * 16), 0x7FF)
    return struct.pack("<H", magnitude | (0x800 if degc < 0 and magnitude else 0))
