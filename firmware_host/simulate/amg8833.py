"""An AMG8833 in registers: a frame buffer that swaps on the chip's own oscillator, and sensor noise.

A frame takes 0.4 % longer than it should, as a real one is never exact, and the oscillator adds its own share:
polling at 10 Hz meets a repeated frame every 17 to 50 seconds. The buffer does not swap within a transfer, and does
between two: an image that is read pixel by pixel may be of two moments. The noise is a pure function of the seed and
the frame's number. Interrupts are not imitated.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.simulate.chip import Chip

_POWER, _RESET, _RATE, _AVERAGE, _THERMISTOR, _UNLOCK, _PIXELS = 0x00, 0x01, 0x02, 0x07, 0x0E, 0x1F, 0x80
_READ_ONLY = frozenset({0x04, *range(_THERMISTOR, _UNLOCK), *range(_PIXELS, 0x100)})
_INITIAL_RESET, _CLEAR = 0x3F, 0x05
_SLEEP = 0x10
_STAND_BY_NS = {0x20: 60_000_000_000, 0x21: 10_000_000_000}
_KEYS = (0x50, 0x45, 0x57)
_FRAME_NS, _SLOW_FRAME_NS = 100_400_000, 1_004_000_000
_FRAMES_UNTIL_VALID = 2
_NOISE_DEGC, _SLOW_NOISE_DEGC = 0.16, 0.05


class Amg8833Chip(Chip):
    """The chip. `environment` gives 64 pixels, row by row, and the housing: degC."""

    addresses = (0x68, 0x69)
    quiet = (*(20.0 + i / 8 for i in range(64)), 24.0)
    data_registers = (_THERMISTOR, _PIXELS)
    tolerance_ppm = 2_000

    def power_up(self) -> None:
        super().power_up()
        self._begin()

    def _begin(self) -> None:
        """The oscillator starts; two frames pass before one is valid."""
        self._since_ns = self.oscillator.now_ns()
        self._frame = -1
        self._keys: tuple[int, ...] = ()

    def written(self, register: int, value: int) -> None:
        self.refresh(self.oscillator.now_ns())
        before = self.registers[register]
        if register == _RESET:
            if value == _INITIAL_RESET:
                self.registers[:] = bytes(256)
                self._begin()
        elif register == _UNLOCK:
            self._keys = (*self._keys, value) if value else ()
        elif register == _AVERAGE and self._keys != _KEYS:
            return
        elif register != _CLEAR and register not in _READ_ONLY:
            self.registers[register] = value
            if register in (_POWER, _RATE) and value != before:
                self._begin()

    def refresh(self, now_ns: int) -> None:
        """Swap in the newest complete frame. A read takes all of its bytes from one."""
        power = self.registers[_POWER]
        slow = self.registers[_RATE] & 1
        frame_ns = _STAND_BY_NS.get(power, _SLOW_FRAME_NS if slow else _FRAME_NS)
        frame = (now_ns - self._since_ns) // frame_ns
        if power == _SLEEP or frame <= self._frame:
            return
        self._frame = frame
        image, housing = self._seen(frame, frame_ns, slow)
        self.registers[_THERMISTOR : _THERMISTOR + 2] = _sign_magnitude(housing)
        if frame >= _FRAMES_UNTIL_VALID:
            if self.registers[_AVERAGE] & 0x20:
                image = (image + self._seen(frame - 1, frame_ns, slow)[0]) / 2
            counts = np.clip(np.rint(image * 4), -2048, 2047).astype(int)
            self.registers[_PIXELS : _PIXELS + 128] = struct.pack("<64H", *(counts & 0xFFF))

    def _seen(self, frame: int, frame_ns: int, slow: int) -> tuple[np.ndarray, float]:
        """A frame's 64 pixels and the housing, degC."""
        values = self.feels(self._since_ns + frame * frame_ns)
        noise = np.random.default_rng((self.seed, frame)).normal(0, _SLOW_NOISE_DEGC if slow else _NOISE_DEGC, 64)
        return np.array(values[:64]) + noise, values[64]


def _sign_magnitude(degc: float) -> bytes:
    magnitude = min(round(abs(float(degc)) * 16), 0x7FF)
    return struct.pack("<H", magnitude | (0x800 if degc < 0 and magnitude else 0))


CHIP = Amg8833Chip
