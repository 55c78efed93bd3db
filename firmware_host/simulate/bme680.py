"""A BME680 in registers: what it would have measured, run backwards through its own calibration.

The world's value is known and the ADC value is wanted, so each compensation formula is solved for its input:
temperature and humidity are quadratic, pressure is a cubic that Newton's method settles in three steps, and
the gas range is the one whose ADC value is nearest to the middle. What is filtered are the ADC values of
temperature and pressure, from the first measurement after a reset on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

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

_RESET, _MEASURE, _HUMIDITY, _GAS_0, _GAS, _FILTER, _FIELD = 0xE0, 0x74, 0x72, 0x70, 0x71, 0x75, 0x1D
_HEATER_TARGET, _HEATER_TIME = 0x5A, 0x64
_NEW_DATA, _GAS_MEASURING, _MEASURING = 0x80, 0x40, 0x20
_FORCED = 0b01
_HEATER_OFF = 0x08
_OVERSAMPLING = (0, 1, 2, 4, 8, 16, 16, 16)
_START_UP_NS = 2_000_000
_HEATING_NS = 20_000_000
"""What the film needs to reach its temperature."""


class Bme680Chip(Chip):
    """The chip. `environment` gives degC, Pa, % relative humidity, ohm of the gas film."""

    addresses = (0x76, 0x77)
    quiet = (21.0, 100_000.0, 40.0, 80_000.0)
    data_registers = (_FIELD,)
    tolerance_ppm = 10_000  # assumed; the datasheet gives typical times
    variant = 0x00
    _run_gas = 0x10
    _gas_at = 13
    """Where in the field the gas reading is."""

    def power_up(self) -> None:
        super().power_up()
        self.registers[0xD0], self.registers[0xF0] = 0x61, self.variant
        _write_calibration(self.registers)
        self.registers[0x1F] = self.registers[0x22] = self.registers[0x25] = 0x80
        self._started_ns: int | None = None
        self._again = False
        self._filtered: list[float | None] = [None, None]

    def written(self, register: int, value: int) -> None:
        """One register. While it measures, only reset and a change of mode are heard; the latter waits for the end."""
        now_ns = self.oscillator.now_ns()
        self.refresh(now_ns)
        if register == _RESET and value == 0xB6:
            self.power_up()
            self.deaf_until_ns = now_ns + _START_UP_NS
        elif self._started_ns is not None:
            if register == _MEASURE:
                self._again = value & 0b11 == _FORCED
        elif register < _FIELD or register >= 0x50:
            self.registers[register] = value
            if register == _MEASURE and value & 0b11 == _FORCED:
                self._begin(now_ns)

    def write(self, data: bytes) -> None:
        """Register and value in turn: the chip does not count up on writes."""
        self.pointer = data[0]
        for register, value in zip(data[0::2], data[1::2], strict=False):
            self.written(register, value)

    def refresh(self, now_ns: int) -> None:
        """End the cycle once it is time, and begin the one that waits for it."""
        while self._started_ns is not None:
            gas_ns = self._started_ns + self._air_ns()
            done_ns = gas_ns + self._heater_ns()
            if now_ns < done_ns:
                self.registers[_FIELD] = self._profile() | _MEASURING | (_GAS_MEASURING if now_ns >= gas_ns else 0)
                return
            self._finish(self._started_ns)
            self._started_ns = None
            if self._again:
                self._again = False
                self._begin(done_ns)

    def _begin(self, at_ns: int) -> None:
        self._started_ns = at_ns
        self.registers[_FIELD] = self._profile() | _MEASURING

    def _profile(self) -> int:
        """Which of the ten heater profiles is in use."""
        return self.registers[_GAS] & 0x0F

    def _gas_runs(self) -> bool:
        return self.registers[_GAS] & 0x30 == self._run_gas

    def _codes(self) -> tuple[int, int, int]:
        """Oversampling of temperature, pressure and humidity; 0 skips."""
        control = self.registers[_MEASURE]
        return control >> 5, control >> 2 & 7, self.registers[_HUMIDITY] & 7

    def _air_ns(self) -> int:
        cycles = sum(_OVERSAMPLING[code] for code in self._codes())
        return 1000 * (1963 * cycles + 477 * 9 + 1000)

    def _heater_ns(self) -> int:
        wait = self.registers[_HEATER_TIME + self._profile()]
        return ((wait & 0x3F) << 2 * (wait >> 6)) * 1_000_000 if self._gas_runs() else 0

    def _finish(self, started_ns: int) -> None:
        """Fill the field; the values are those of the cycle's beginning."""
        values = self.feels(started_ns)
        codes = self._codes()
        t, p, h = adc_values(*values[:3])
        t, p = self._filter(0, t, codes[0]), self._filter(1, p, codes[1])
        field = bytearray(17)
        field[0] = _NEW_DATA | self._profile()
        field[2:5] = (p << 4).to_bytes(3, "big")
        field[5:8] = (t << 4).to_bytes(3, "big")
        field[8:10] = (h if codes[2] else 0x8000).to_bytes(2, "big")
        if self._gas_runs():
            g, gas_range = self._gas(values[3])
            heated = not self.registers[_GAS_0] & _HEATER_OFF and self._heater_ns() >= _HEATING_NS
            status = 0x20 | (0x10 if heated and self.registers[_HEATER_TARGET + self._profile()] else 0)
            field[self._gas_at : self._gas_at + 2] = g >> 2, (g & 3) << 6 | status | gas_range
        self.registers[_FIELD : _FIELD + 17] = field
        self.registers[_MEASURE] &= 0xFC

    def _filter(self, which: int, adc: int, code: int) -> int:
        """The low pass: 20 bits with it, 16 and one more for each doubling of the samples without."""
        if not code:
            return 0x80000
        coefficient = 2 ** (self.registers[_FILTER] >> 2 & 7) - 1
        old = self._filtered[which]
        new = adc if old is None else (old * coefficient + adc) / (coefficient + 1)
        self._filtered[which] = new
        return round(new) if coefficient else adc >> max(5 - code, 0) << max(5 - code, 0)

    def _gas(self, resistance_ohm: float) -> tuple[int, int]:
        return gas_adc(resistance_ohm)


class Bme688Chip(Bme680Chip):
    """The variant: its gas reading is ordered by another code, stands two bytes further and means another thing."""

    variant = 0x01
    _run_gas = 0x20
    _gas_at = 15

    def _gas(self, resistance_ohm: float) -> tuple[int, int]:
        return gas_adc_688(resistance_ohm)


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

    def value(gas_range: int) -> float:
        span = (1340 + 5 * CALIBRATION["range_error"]) * _RANGE_SPAN.get(gas_range, 1.0)
        full = _RANGE_GAIN.get(gas_range, 1.0) * 1.25e-7 * 2.0**gas_range
        return 512 + span * (1 / (resistance_ohm * full) - 1)

    return _nearest_to_the_middle(value)


def gas_adc_688(resistance_ohm: float) -> tuple[int, int]:
    """The same of a BME688."""
    return _nearest_to_the_middle(lambda gas_range: 512 + (1e6 * (262144 >> gas_range) / resistance_ohm - 4096) / 3)


def _nearest_to_the_middle(value: Callable[[int], float]) -> tuple[int, int]:
    gas_range = min(range(16), key=lambda gas_range: abs(value(gas_range) - 512))
    return _clip(value(gas_range), 10), gas_range


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


CHIP = Bme680Chip
