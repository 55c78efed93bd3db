"""A TSL2591 in registers: two photodiodes that integrate cycle after cycle, and an interrupt that persists.

The world's illuminance and share of infrared are turned into the two counts that the driver's lux formula turns
back. A cycle during which the gain was changed mixes both; one during which the integration time was changed
begins anew. Noise is half a count and 0.2 %, a pure function of the seed and the cycle's number. The thresholds
work on channel 0 with persistence; those without persistence are not imitated. Reset is not acknowledged.
"""

from __future__ import annotations

import numpy as np

from firmware_host.ports import BusFault
from firmware_host.simulate.chip import Chip
from firmware_host.spec import Flag

_ENABLE, _CONTROL, _THRESHOLDS, _PERSIST, _IDENTITY, _STATUS, _DATA = 0x00, 0x01, 0x04, 0x0C, 0x12, 0x13, 0x14
_INTEGRATING, _RESET = 0x03, 0x80
_VALID, _INTERRUPT = 0x01, 0x10
_SPECIAL = {0x04: "set", 0x06: "clear", 0x07: "clear"}
_STEP_NS = 100_000_000
_GAINS = (1, 25, 428, 9876)
_COUNTS_PER_LUX_MS = 1 / 408
_PERSISTENCE = (0, 1, 2, 3, *range(5, 65, 5))
_REMEMBERED = _PERSISTENCE[-1]
"""Cycles that can matter to the interrupt: no more are worked through at once."""
_WRITABLE = {_ENABLE: 0xD3, _CONTROL: 0xB7, _PERSIST: 0x0F, **dict.fromkeys(range(_THRESHOLDS, _PERSIST), 0xFF)}
"""Registers that take a value, and which bits of it."""


class Tsl2591Chip(Chip):
    """The chip. `environment` gives lux and the share of infrared (0.1 under LEDs, 0.6 under a filament)."""

    addresses = (0x29,)
    quiet = (300.0, 0.2)
    data_registers = (_ENABLE, _STATUS)
    tolerance_ppm = 50_000.0

    def power_up(self) -> None:
        super().power_up()
        self.registers[_IDENTITY] = 0x50
        self._begin()

    def _begin(self) -> None:
        """The first cycle begins now, if it is to integrate at all."""
        self._since_ns = self.oscillator.now_ns()
        self._cycle = -1
        self._outside = 0
        self._before = (self._since_ns, self.registers[_CONTROL])
        self.registers[_STATUS] &= ~_VALID

    def write(self, data: bytes) -> None:
        """A command byte: a special function, or a register and what to write from there on."""
        self.refresh(self.oscillator.now_ns())
        command = data[0]
        if command & 0xE0 == 0xE0:
            order = _SPECIAL.get(command & 0x1F)
            if order is not None:
                flag = _INTERRUPT if order == "set" else 0
                self.registers[_STATUS] = self.registers[_STATUS] & ~_INTERRUPT | flag
        elif command & 0xE0 == 0xA0:
            super().write(bytes((command & 0x1F,)) + data[1:])

    def written(self, register: int, value: int) -> None:
        if register == _CONTROL and value & _RESET:
            self.power_up()
            raise BusFault(Flag.NACK, "a TSL2591 resets instead of acknowledging")
        old = self.registers[register]
        if register not in _WRITABLE:
            return
        self.registers[register] = value & _WRITABLE[register]
        changed = old ^ value
        if (register == _ENABLE and changed & _INTEGRATING) or (register == _CONTROL and changed & 0x07):
            self._begin()
        elif register == _CONTROL:
            self._before = (self.oscillator.now_ns(), old)

    def refresh(self, now_ns: int) -> None:
        """Every cycle that has ended since; their data are the last one's."""
        if self.registers[_ENABLE] & _INTEGRATING != _INTEGRATING:
            return
        newest = (now_ns - self._since_ns) // self._length_ns - 1
        first = max(self._cycle + 1, newest - _REMEMBERED)
        if not self.registers[_PERSIST]:
            first = max(first, newest)  # every cycle interrupts; one is as good as many
        for cycle in range(first, newest + 1):
            self._end(cycle)
        self._cycle = max(self._cycle, newest)

    @property
    def _length_ns(self) -> int:
        return _STEP_NS * (min(self.registers[_CONTROL] & 0x07, 5) + 1)

    def _end(self, cycle: int) -> None:
        """The data of a cycle, and whether they interrupt."""
        length_ns = self._length_ns
        start_ns = self._since_ns + cycle * length_ns
        lux, share = self.feels(start_ns + length_ns // 2)
        full = lux * self._gain(start_ns, start_ns + length_ns) * length_ns / 1e6 * _COUNTS_PER_LUX_MS
        ideal = np.array([full, full * share]) / max(1 - share, 1e-3) ** 2
        noise = np.random.default_rng((self.seed, cycle)).normal(0, 1, 2) * (0.5 + 0.002 * ideal)
        limit = 36_863 if length_ns == _STEP_NS else 65_535
        counts = np.clip(np.rint(ideal + noise), 0, limit).astype("<u2")
        self.registers[_DATA : _DATA + 4] = counts.tobytes()
        low, high = (self._word(_THRESHOLDS + i) for i in (0, 2))
        self._outside = self._outside + 1 if counts[0] < low or counts[0] > high else 0
        if self._outside >= _PERSISTENCE[self.registers[_PERSIST]]:
            self.registers[_STATUS] |= _INTERRUPT
        self.registers[_STATUS] |= _VALID

    def _gain(self, start_ns: int, end_ns: int) -> float:
        """The gain of a cycle, or the mean of two where it was changed in between."""
        changed_ns, before = self._before
        share = min(max((changed_ns - start_ns) / (end_ns - start_ns), 0.0), 1.0)
        old, new = (_GAINS[control >> 4 & 3] for control in (before, self.registers[_CONTROL]))
        return share * old + (1 - share) * new

    def _word(self, register: int) -> int:
        return int.from_bytes(self.registers[register : register + 2], "little")


CHIP = Tsl2591Chip
