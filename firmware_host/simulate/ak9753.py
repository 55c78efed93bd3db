"""An AK9753 in registers: sets of data that wait to be read, and are not overwritten while they are.

A set is the world in the middle of its measurement, with noise (1 pA, and half a step of the thermometer) that is
a pure function of the seed and the set's number; the digital filter is imitated by that delay alone. Reading any
data register holds the set until ST2 is read; the newest that came meanwhile then follows. A set that nobody
could read is told by the overrun bit. Threshold interrupts, switch mode and the EEPROM are not imitated.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.simulate.chip import Chip

_ID, _STATUS, _DATA, _END, _HYSTERESIS = 0x00, 0x05, 0x06, 0x10, 0x19
_INTERRUPTS, _MODE, _RESET = 0x1B, 0x1C, 0x1D
_READY, _OVERRUN = 0x01, 0x02
_SINGLE, _CONTINUOUS = 0b010, (0b100, 0b101, 0b110, 0b111)
_PERIODS_NS = tuple(ms * 1_000_000 for ms in (576, 276, 144, 72, 36, 18))
_WAITS = {0b010: 1, 0b100: 1, 0b101: 2, 0b110: 4, 0b111: 8}
"""Mode -> measurement and pause together, in measurements."""
_PA_PER_COUNT = 14286.4 / 32767
_NOISE_PA = 1.0


class Ak9753Chip(Chip):
    """The chip. `environment` gives the currents IR1 to IR4 in pA, and degC."""

    addresses = (0x64, 0x65, 0x66)
    quiet = (100.0, 200.0, 300.0, 400.0, 24.0)
    data_registers = (_STATUS,)
    tolerance_ppm = 50_000.0

    def power_up(self) -> None:
        super().power_up()
        self.registers[_ID : _ID + 3] = bytes((0x48, 0x13, 0x01))
        self.registers[_INTERRUPTS], self.registers[_MODE] = 0xE0, 0xC0
        self._begin()

    def _begin(self) -> None:
        self._since_ns = self.oscillator.now_ns()
        self._set = -1
        self._held = False

    def written(self, register: int, value: int) -> None:
        """Thresholds and settings; what lies before them only reads."""
        self.refresh(self.oscillator.now_ns())
        if register == _RESET and value & 1:
            self.power_up()
        elif register == _MODE:
            self.registers[_MODE] = 0xC0 | value  # bits 7 and 6 read as 1
            self._begin()
        elif register == _INTERRUPTS:
            self.registers[_INTERRUPTS] = 0xE0 | value
        elif _END < register <= _HYSTERESIS + 1:
            self.registers[register] = value

    def read(self, n: int, byte_ns: int = 0) -> bytes:
        touched = {(self.pointer + i) % 256 for i in range(n)}
        data = super().read(n, byte_ns)
        if touched & set(range(_DATA, _END)):
            self._held = True
        if _END in touched:
            self._held = False
            self.registers[_STATUS] = 0
        return data

    def refresh(self, now_ns: int) -> None:
        """Let the newest set in, unless one is being read out."""
        mode, code = self.registers[_MODE] & 7, self.registers[_MODE] >> 3 & 7
        if mode not in _WAITS or code >= len(_PERIODS_NS):
            return
        measuring_ns = _PERIODS_NS[code]
        elapsed_ns = now_ns - self._since_ns - measuring_ns
        newest = elapsed_ns // (measuring_ns * _WAITS[mode])
        if mode == _SINGLE:
            newest = min(newest, 0)
        if newest <= self._set or self._held:
            return
        lost = newest - self._set > 1 or self.registers[_STATUS] & _READY
        self.registers[_STATUS] = _READY | (_OVERRUN if lost else 0)
        self._set = newest
        middle_ns = self._since_ns + newest * measuring_ns * _WAITS[mode] + measuring_ns // 2
        self.registers[_DATA:_END] = self._measured(newest, self.feels(middle_ns))
        if mode == _SINGLE:
            self.registers[_MODE] &= ~7

    def _measured(self, number: int, values: list[float]) -> bytes:
        noise = np.random.default_rng((self.seed, number)).normal(0, 1, 5)
        currents = (np.array(values[:4]) + _NOISE_PA * noise[:4]) / _PA_PER_COUNT
        infrared = np.clip(np.rint(currents), -32767, 32767).astype(int)
        temperature = min(max(round((values[4] - 26.75) / 0.125 + 0.5 * noise[4]), -512), 511)
        return struct.pack("<5h", *infrared, temperature << 6)


CHIP = Ak9753Chip
