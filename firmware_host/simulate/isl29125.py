"""An ISL29125 in registers: one converter that does a colour after the other, each kept until the next of its kind.

A colour is the world in the middle of its conversion, with noise (a third of a count and 0.2 %) that is a pure
function of the seed and the conversion's number. Infrared compensation changes nothing, for the simulated light
has none; thresholds and their interrupt are not imitated. Power-up sets the brown-out flag and a reset by command
does not, which is what lets SparkFun's start-up check pass.
"""

from __future__ import annotations

import random

from firmware_host.simulate.chip import Chip

_DEVICE, _CONFIG, _HIGH, _STATUS, _DATA = 0x00, 0x01, 0x06, 0x08, 0x09
_IDENTITY, _RESET = 0x7D, 0x46
_CONVERTED, _BROWN_OUT, _SYNC = 0x02, 0x04, 0x20
_GREEN, _RED, _BLUE = range(3)
_ORDER = {
    **{1: (_GREEN,), 2: (_RED,), 3: (_BLUE,)},
    **{5: (_GREEN, _RED, _BLUE), 6: (_GREEN, _RED), 7: (_GREEN, _BLUE)},
}
"""Mode -> what is converted in turn; the others convert nothing."""
_WRITABLE = {_CONFIG: 0x3F, _CONFIG + 1: 0xBF, _CONFIG + 2: 0x1F, **dict.fromkeys(range(0x04, 0x08), 0xFF)}
_CONVERSION_NS = 101_000_000


class Isl29125Chip(Chip):
    """The chip. `environment` gives green, red, blue in lux: equal numbers for light that is white to the chip."""

    addresses = (0x44,)
    quiet = (500.0, 800.0, 300.0)
    data_registers = (_STATUS,)
    tolerance_ppm = 50_000.0

    def power_up(self) -> None:
        super().power_up()
        self.registers[_DEVICE] = _IDENTITY
        self.registers[_HIGH : _HIGH + 2] = b"\xff\xff"
        self.registers[_STATUS] = _BROWN_OUT
        self._begin()

    def _begin(self) -> None:
        """A write to CONFIG1 starts the converter, with green if that is asked."""
        self._since_ns = self.oscillator.now_ns()
        self._done = -1

    def written(self, register: int, value: int) -> None:
        self.refresh(self.oscillator.now_ns())
        if register == _DEVICE and value == _RESET:
            self.power_up()
            self.registers[_STATUS] = 0
        elif register == _STATUS:
            self.registers[_STATUS] &= value | ~_BROWN_OUT
        elif register in _WRITABLE:
            self.registers[register] = value & _WRITABLE[register]
            if register == _CONFIG:
                self._begin()

    def read(self, n: int, byte_ns: int = 0) -> bytes:
        touched = {(self.pointer + i) % 256 for i in range(n)}
        data = super().read(n, byte_ns)
        if _STATUS in touched:
            self.registers[_STATUS] &= ~_CONVERTED
        return data

    def refresh(self, now_ns: int) -> None:
        """The last finished conversion of each colour, and the one that runs."""
        config = self.registers[_CONFIG]
        order = _ORDER.get(config & 7, ())
        if not order or config & _SYNC:  # in SYNC it waits for its pin
            self.registers[_STATUS] &= ~0x30
            return
        length_ns = _CONVERSION_NS // 16 if config & 0x10 else _CONVERSION_NS
        running = (now_ns - self._since_ns) // length_ns
        for conversion in range(max(self._done + 1, running - len(order)), running):
            self._convert(order[conversion % len(order)], conversion, length_ns)
            self.registers[_STATUS] |= _CONVERTED
        self._done = max(self._done, running - 1)
        self.registers[_STATUS] = self.registers[_STATUS] & ~0x30 | order[running % len(order)] + 1 << 4

    def _convert(self, colour: int, conversion: int, length_ns: int) -> None:
        config = self.registers[_CONFIG]
        full = 4095 if config & 0x10 else 65_535
        lux = self.feels(self._since_ns + conversion * length_ns + length_ns // 2)[colour]
        ideal = lux / (10_000 if config & 0x08 else 375) * full
        noise = random.Random(self.seed << 32 ^ conversion).gauss(0, 0.3 + 0.002 * ideal)
        count = min(max(round(ideal + noise), 0), full)
        at = _DATA + 2 * colour
        self.registers[at : at + 2] = count.to_bytes(2, "little")


CHIP = Isl29125Chip
