"""A BME680 in registers: what it would have measured, run backwards through its own calibration.

The world's value is known and the ADC value is wanted, so each compensation formula is solved for its input:
temperature and humidity are quadratic, pressure is a cubic that Newton's method settles in three steps, and
the gas range is the one whose ADC value is nearest to the middle. The IIR filter is not imitated.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_host.simulate.chip import Chip

CALIBRATION = {
    # Of a real chip, as its owner published it in pimoroni/bme680-python issue 11.
    **{"T1": 26041, "T2": 26469, "T3": 3},
    **{"P1": 36673, "P2": -10515, "P3": 88, "P4": 7310, "P5": -129, "P6": 30, "P7": 46, "P8": -3177},
    **{"P9": -2379, "P10": 30},
    **{"H1": 676, "H2": 1029, "H3": 0, "H4": 45, "H5": 20, "H6": 120, "H7": -100},
    **{"G1": -30, "G2": -24754, "G3": 18, "heater_value": 48, "heater_range": 1, "range_error": 0},
}

_LOW = ("T2", "T3", "P1", "P2", "P3", "P4", "P5", "P7", "P6", "P8", "P9", "P10")
_HIGH = ("H3", "H4", "H5", "H6", "H7", "T1", "G2", "G1", "G3")
"""Parameters in the order of their registers, from 0x8A and from 0xE4 on."""

_RESET, _MEASURE, _GAS, _FIELD = 0xE0, 0x74, 0x71, 0x1D
_NEW_DATA, _GAS_MEASURING, _MEASURING = 0x80, 0x40, 0x20
_OVERSAMPLING = (0, 1, 2, 4, 8, 16, 16, 16)
_START_UP_NS = 2_000_000


class Bme680Chip(Chip):
    """The chip. `environment` gives degC, Pa, %, ohm."""

    addresses = (0x76, 0x77)
    data_registers = (_FIELD,)

    def power_up(self) -> None:
        super().power_up()
        self.registers[0xD0] = 0x61
        _write_calibration(self.registers)
        self.registers[0x1F] = self.registers[0x22] = self.registers[0x25] = 0x80
        self._done_ns: int | None = None

    def written(self, register: int, value: int) -> None:
        """One register; only reset is heard while a measurement runs."""
        self._finish(self.oscillator.now_ns())
        if register == _RESET and value == 0xB6:
            self.power_up()
            self.deaf_until_ns = self.oscillator.now_ns() + _START_UP_NS
        elif self._done_ns is None:
            self.registers[register] = value
            if register == _MEASURE and value & 0b11 == 0b01:
                self._begin()

    def write(self, data: bytes) -> None:
        """Register and value in turn: the chip does not count up on writes."""
        self.pointer = data[0]
        for register, value in zip(data[0::2], data[1::2], strict=False):
            self.written(register, value)

    def refresh(self, now_ns: int) -> None:
        self._finish(now_ns)

    def _begin(self) -> None:
        """Start a cycle: its length follows from the oversampling and the heater's time."""
        control = self.registers[_MEASURE]
        codes = (control >> 5, control >> 2 & 7, self.registers[0x72] & 7)
        cycles = sum(_OVERSAMPLING[code] for code in codes)
        duration_us = 1963 * cycles + 477 * 9 + 1000
        if self.registers[_GAS] & 0x10:
            wait = self.registers[0x64]
            duration_us += 1000 * (wait & 0x3F) << 2 * (wait >> 6)
        self._started_ns = self.oscillator.now_ns()
        self._done_ns = self._started_ns + duration_us * 1000
        self.registers[_FIELD] = _MEASURING | (_GAS_MEASURING if self.registers[_GAS] & 0x10 else 0)

    def _finish(self, now_ns: int) -> None:
        """Fill the field once the cycle has ended; the values are those of its beginning."""
        if self._done_ns is None or now_ns < self._done_ns:
            return
        self._done_ns = None
        values = self.feels(self._started_ns)
        control = self.registers[_MEASURE]
        t, p, h = adc_values(*values[:3])
        if not control >> 5:
            t = 0x80000
        if not control >> 2 & 7:
            p = 0x80000
        if not self.registers[0x72] & 7:
            h = 0x8000
        field = bytearray(15)
        field[0] = _NEW_DATA
        field[2:5] = (p << 4).to_bytes(3, "big")
        field[5:8] = (t << 4).to_bytes(3, "big")
        field[8:10] = h.to_bytes(2, "big")
        if self.registers[_GAS] & 0x10:
            g, gas_range = gas_adc(values[3])
            field[13], field[14] = g >> 2, (g & 3) << 6 | 0x30 | gas_range
        self.registers[_FIELD : _FIELD + 15] = field
        self.registers[_MEASURE] = control & 0xFC


def adc_values(temperature_degc: float, pressure_pa: float, humidity_pct: float) -> tuple[int, int, int]:
    """The 20-, 20- and 16-bit ADC values that compensate to the given air."""
    c = CALIBRATION
    fine = temperature_degc * 5120
    d = 2 * fine / (c["T2"] + np.sqrt(c["T2"] ** 2 + c["T3"] * fine))
    adc_t = (d + c["T1"] / 1024) * 16384

    u = fine / 2 - 64000
    offset = (u * u * c["P6"] / 131072 + 2 * u * c["P5"]) / 4 + 65536 * c["P4"]
    gain = (1 + (c["P3"] * u * u / 16384 + c["P2"] * u) / 2**34) * c["P1"]
    k3, k2, k1 = c["P10"] / 2**45, c["P9"] / 2**35, 1 + c["P8"] / 2**19
    q = pressure_pa
    for _ in range(4):
        q -= (((k3 * q + k2) * q + k1) * q + 8 * c["P7"] - pressure_pa) / ((3 * k3 * q + 2 * k2) * q + k1)
    adc_p = 1048576 - q * gain / 6250 - offset / 4096

    k = c["H6"] / 16384 + temperature_degc * c["H7"] / 2097152
    y = 2 * humidity_pct / (1 + np.sqrt(1 + 4 * k * humidity_pct))
    slope = 1 + temperature_degc * c["H4"] / 16384 + temperature_degc**2 * c["H5"] / 1048576
    adc_h = y * 262144 / (c["H2"] * slope) + 16 * c["H1"] + temperature_degc * c["H3"] / 2
    return _clip(adc_t, 20), _clip(adc_p, 20), _clip(adc_h, 16)


_RANGE_SPAN = {5: 0.99, 7: 0.992, 10: 0.998, 11: 0.995, 13: 0.99}
_RANGE_GAIN = {4: 1.001, 5: 1.007, 7: 0.992, 8: 0.999}


def gas_adc(resistance_ohm: float) -> tuple[int, int]:
    """The 10-bit ADC value, and the range in which it is nearest to the middle."""
    best = (0, 0)
    for gas_range in range(16):
        span = (1340 + 5 * CALIBRATION["range_error"]) * _RANGE_SPAN.get(gas_range, 1.0)
        full = _RANGE_GAIN.get(gas_range, 1.0) * 1.25e-7 * 2.0**gas_range
        value = _clip(512 + span * (1 / (resistance_ohm * full) - 1), 10)
        if gas_range == 0 or abs(value - 512) < abs(best[0] - 512):
            best = (value, gas_range)
    return best


def _clip(value: float, bits: int) -> int:
    return int(min(max(round(float(value)), 0), 2**bits - 1))


def _write_calibration(registers: bytearray) -> None:
    c = CALIBRATION
    low = struct.pack("<hbxHhbxhhbbxxhhB", *(c[k] for k in _LOW))
    high = struct.pack("<bbbBbHhbb", *(c[k] for k in _HIGH))
    registers[0x8A : 0x8A + 23] = low
    registers[0xE1:0xE4] = (c["H2"] >> 4, (c["H2"] & 0xF) << 4 | c["H1"] & 0xF, c["H1"] >> 4)
    registers[0xE4:0xEF] = high
    registers[0x00] = c["heater_value"] & 0xFF
    registers[0x02] = c["heater_range"] << 4
    registers[0x04] = (c["range_error"] & 0xF) << 4
