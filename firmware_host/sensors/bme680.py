"""BME680: temperature, pressure, humidity, and the resistance of a heated metal-oxide film.

It measures only when told to, and takes 21 ms plus the time its heater is on. One slot therefore reads the
result of the last order and gives the next: nobody waits. An order given while it measures would run after it
and overwrite its result, so none is given then. What crosses the bus are ADC values; the chip's 25 calibration
numbers, which turn them into SI units, are read once and kept with the session. A BME688 is the same chip but
for the place, the order and the formula of its gas reading. Sources: BST-BME680-DS001, Bosch BME68x sensor API.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from firmware_host.driver import (
    MILLISECOND_NS,
    Answer,
    Read,
    SensorSpec,
    StartError,
    Startup,
    Step,
    Transfer,
    chosen,
    fetch,
    put,
)
from firmware_host.spec import Channel, Flag, TrackSpec

_IDENTITY, _VARIANT, _RESET = 0xD0, 0xF0, 0xE0
_CONTROL_GAS, _RUN_GAS, _HUMIDITY, _MEASURE, _FILTER = 0x70, 0x71, 0x72, 0x74, 0x75
_HEATER, _HEATER_TIME, _FIELD = 0x5A, 0x64, 0x1D
_CALIBRATION = (fetch(0x8A, 23), fetch(0xE1, 14), fetch(0x00, 5))

_MEASURE_FORCED = 0b010_011_01
"""Temperature oversampled 2x, pressure 4x, one cycle."""
_HUMIDITY_2X = 0x02
_NEW_DATA, _BUSY = 0x80, 0x60
_CYCLE_NS = 21 * MILLISECOND_NS
"""One cycle at these settings, without the heater."""
_SLOT_NS = 17 * MILLISECOND_NS
_ASSUMED_AIR_DEGC = 25.0
_OPTIONS = {"heater_degc": 320, "heater_ms": 100, "gas_every": 1, "filter": 3}
_FILTERS = (0, 1, 3, 7, 15, 31, 63, 127)
_ALLOWED: dict[str, range | tuple[float, ...]] = {
    **{"heater_degc": range(200, 401), "heater_ms": range(4033), "gas_every": range(1, 3601)},
    "filter": _FILTERS,
}
_SKIPPED_20, _SKIPPED_16 = 0x80000, 0x8000


class _Variant(NamedTuple):
    """What tells a BME688 from a BME680: how gas is ordered, and how far the field reaches to its reading."""

    model: int
    gas_on: int
    field: Transfer


_VARIANTS = {
    0x00: _Variant(680, 0x10, fetch(_FIELD, 15)),
    0x01: _Variant(688, 0x20, fetch(_FIELD, 17)),
}

FIELD = TrackSpec(
    "field",
    (
        Channel("temperature_adc", "count"),
        Channel("pressure_adc", "count"),
        Channel("humidity_adc", "count"),
        Channel("gas_adc", "count"),
        Channel("gas_range", "count"),
        Channel("gas_status", "count"),  # 2: gas reading valid, 1: heater reached its target
    ),
)
SI = (
    Channel("temperature", "degC"),
    Channel("pressure", "Pa"),
    Channel("humidity", "%"),
    Channel("gas", "ohm"),
)
"""There is no CO2 cell in the chip. What its film conducts depends on all oxidisable gases together, on humidity,
and on its own past; figures called "equivalent CO2" are guessed from it by closed software. None is derived."""


class Bme680:
    """Driver of one BME680 or BME688.

    Options:
        heater_degc: temperature of the film, 200 to 400 (320).
        heater_ms: how long it is heated before it is read (100; up to 160 at 5 Hz). 0 gives up the gas reading.
        gas_every: heat in every so many-th cycle only (1). The heater warms the die: users report +2.5 degC, and
            heat less for a truer temperature. Rows without a gas reading say so.
        filter: coefficient of the chip's low pass for temperature and pressure (3), 0 for none, else 1, 3, 7 to 127.
    """

    tracks = (FIELD,)
    costliest: tuple[Transfer, ...] = _CALIBRATION

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        self._options = chosen("bme680", options, _OPTIONS, _ALLOWED)
        self.settings: Mapping[str, Any] = {}
        self._variant = _VARIANTS[0x00]
        self._gas_ordered = 0
        self._cycle = 0
        self._ordered = True

    @property
    def shortest_period_ns(self) -> int:
        return _CYCLE_NS + self._options["heater_ms"] * MILLISECOND_NS + _SLOT_NS

    def start(self) -> Startup:
        """Identity, reset, calibration, configuration read back, first order."""
        identity, variant = yield Step((fetch(_IDENTITY, 1), fetch(_VARIANT, 1)))
        if identity[0] != 0x61 or variant[0] not in _VARIANTS:
            raise StartError(f"no BME680: identity {identity[0]:#04x}, variant {variant[0]:#04x}")
        self._variant = _VARIANTS[variant[0]]
        yield Step((put(_RESET, 0xB6),), wait_ns=10 * MILLISECOND_NS)
        calibration = parse_calibration(*(yield Step(_CALIBRATION)))
        filtering = _FILTERS.index(self._options["filter"]) << 2
        self._cycle = 0
        self._gas_ordered = self._next_gas()
        # Control registers take one value a transfer: the chip does not count up on writes.
        yield Step(
            (
                put(_HUMIDITY, _HUMIDITY_2X),
                put(_FILTER, filtering),
                put(_HEATER, heater_code(calibration, self._options["heater_degc"])),
                put(_HEATER_TIME, heater_time_code(self._options["heater_ms"])),
                put(_CONTROL_GAS, 0x00),
                put(_RUN_GAS, self._gas_ordered),
            )
        )
        found, _ = yield Step((fetch(_CONTROL_GAS, 6), put(_MEASURE, _MEASURE_FORCED)))
        if (found[1] & 0x3F, found[2] & 0x07, found[5] & 0x1C) != (self._gas_ordered, _HUMIDITY_2X, filtering):
            raise StartError(f"BME680 did not take its configuration (0x70 reads {found.hex()})")
        self._cycle = 1
        self._ordered = True
        self.settings = {"calibration": calibration, "variant": self._variant.model, **self._options}

    def _next_gas(self) -> int:
        """What the next cycle wants in the register that orders gas."""
        due = self._options["heater_ms"] and self._cycle % self._options["gas_every"] == 0
        return self._variant.gas_on if due else 0

    def read(self) -> Read:
        """The last result; then the next order. NOT_READY while the chip still measures."""
        field = yield self._variant.field
        status = field[0]
        fresh = self._ordered
        if not status & _BUSY:
            self._ordered = False  # until the order below has been taken
            if self._next_gas() != self._gas_ordered:
                yield put(_RUN_GAS, self._next_gas())
                self._gas_ordered = self._next_gas()
            yield put(_MEASURE, _MEASURE_FORCED)
            self._cycle += 1
            self._ordered = True
        if not status & _NEW_DATA:
            return Answer(Flag.NOT_READY)
        counts = decode(field)
        if counts[0] == _SKIPPED_20 or counts[1] == _SKIPPED_20 or counts[2] == _SKIPPED_16:
            return Answer(Flag.CORRUPT, restart=True)  # it measures what its reset values say: nothing
        return Answer(Flag.FRESH if fresh else Flag.STALE, (counts,))


def decode(field: bytes) -> tuple[int, ...]:
    """The 15 bytes of a BME680 from 0x1D, or the 17 of a BME688, to the counts of `FIELD`.

    Between pressure, temperature and humidity and the gas reading, which ends the field, a BME688 has two bytes more.
    """
    pressure = field[2] << 12 | field[3] << 4 | field[4] >> 4
    temperature = field[5] << 12 | field[6] << 4 | field[7] >> 4
    humidity = field[8] << 8 | field[9]
    high, low = field[-2:]
    return temperature, pressure, humidity, high << 2 | low >> 6, low & 0x0F, low >> 4 & 0x03


def parse_calibration(low: bytes, high: bytes, heater: bytes) -> dict[str, int]:
    """The bytes from 0x8A (23), 0xE1 (14) and 0x00 (5) to Bosch's parameters by name."""
    T2, T3, P1, P2, P3, P4, P5, P7, P6, P8, P9, P10 = struct.unpack("<hbxHhbxhhbbxxhhB", low)
    H3, H4, H5, H6, H7, T1, G2, G1, G3 = struct.unpack("<bbbBbHhbb", high[3:])
    return {
        **{"T1": T1, "T2": T2, "T3": T3, "P1": P1, "P2": P2, "P3": P3, "P4": P4, "P5": P5, "P6": P6},
        **{"P7": P7, "P8": P8, "P9": P9, "P10": P10},
        "H1": high[2] << 4 | high[1] & 0x0F,
        "H2": high[0] << 4 | high[1] >> 4,
        **{"H3": H3, "H4": H4, "H5": H5, "H6": H6, "H7": H7, "G1": G1, "G2": G2, "G3": G3},
        "heater_value": struct.unpack("<b", heater[:1])[0],
        "heater_range": heater[2] >> 4 & 0x03,
        # Signed, as in Bosch's code; two public drivers take it as unsigned and are 3.5 % off.
        "range_error": ((heater[4] >> 4) ^ 0x08) - 0x08,
    }


def heater_code(c: Mapping[str, int], target_degc: float) -> int:
    """What to write for a heater plate of `target_degc` (at most 400)."""
    slope = c["G2"] * 0.0005 / 32768 + 0.00235
    plate = (c["G1"] / 16 + 49) * (1 + slope * min(target_degc, 400)) + c["G3"] / 1024 * _ASSUMED_AIR_DEGC
    code = 3.4 * (plate * 4 / (4 + c["heater_range"]) / (1 + 0.002 * c["heater_value"]) - 25)
    return min(max(int(code), 0), 255)


def heater_time_code(duration_ms: int) -> int:
    """6 bits of milliseconds and a multiplier of 1, 4, 16 or 64; 4032 ms is the most."""
    for exponent in range(4):
        if duration_ms >> (2 * exponent) < 64:
            return exponent << 6 | duration_ms >> (2 * exponent)
    return 0xFF


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """(N, 6) counts to (N, 4) float32: degC, Pa, % relative humidity, ohm (NaN where there was no gas reading).

    Bosch's floating-point form. `bme680_integer` is their other one, a few Pa and 0.01 % away in a room.
    """
    c = settings["calibration"]
    temperature_adc, pressure_adc, humidity_adc, gas_adc, gas_range, gas_status = counts.astype(np.float64).T
    fine = _fine_temperature(c, temperature_adc)
    temperature = fine / 5120
    ohm = _gas_688_ohm if settings.get("variant") == 688 else _gas_ohm
    gas = np.where(gas_status >= 2, ohm(c, gas_adc, gas_range.astype(np.int64)), np.nan)
    columns = (temperature, _pressure_pa(c, pressure_adc, fine), _humidity(c, humidity_adc, temperature), gas)
    return np.stack(columns, axis=1).astype(np.float32)


def _fine_temperature(c: Mapping[str, int], adc: np.ndarray) -> np.ndarray:
    linear = (adc / 16384 - c["T1"] / 1024) * c["T2"]
    return linear + (adc / 131072 - c["T1"] / 8192) ** 2 * 16 * c["T3"]


def _pressure_pa(c: Mapping[str, int], adc: np.ndarray, fine: np.ndarray) -> np.ndarray:
    u = fine / 2 - 64000
    offset = (u**2 * c["P6"] / 131072 + 2 * u * c["P5"]) / 4 + 65536 * c["P4"]
    gain = (1 + (c["P3"] * u**2 / 16384 + c["P2"] * u) / 524288 / 32768) * c["P1"]
    q = (1048576 - adc - offset / 4096) * 6250 / np.where(gain == 0, np.nan, gain)
    cubic = (q / 256) ** 3 * c["P10"] / 131072
    return q + (c["P9"] * q**2 / 2**31 + q * c["P8"] / 32768 + cubic + 128 * c["P7"]) / 16


def _humidity(c: Mapping[str, int], adc: np.ndarray, t: np.ndarray) -> np.ndarray:
    x = adc - (16 * c["H1"] + t * c["H3"] / 2)
    y = x * c["H2"] / 262144 * (1 + t * c["H4"] / 16384 + t**2 * c["H5"] / 1048576)
    return np.clip(y + (c["H6"] / 16384 + t * c["H7"] / 2097152) * y**2, 0, 100)


_K1 = np.array([0, 0, 0, 0, 0, -1, 0, -0.8, 0, 0, -0.2, -0.5, 0, -1, 0, 0]) / 100
_K2 = np.array([0, 0, 0, 0, 0.1, 0.7, 0, -0.8, -0.1, 0, 0, 0, 0, 0, 0, 0]) / 100
"""Corrections of the sixteen gas ranges."""


def _gas_ohm(c: Mapping[str, int], adc: np.ndarray, gas_range: np.ndarray) -> np.ndarray:
    span = (1340 + 5 * c["range_error"]) * (1 + _K1[gas_range])
    return 1 / ((1 + _K2[gas_range]) * 1.25e-7 * 2.0**gas_range * ((adc - 512) / span + 1))


def _gas_688_ohm(c: Mapping[str, int], adc: np.ndarray, gas_range: np.ndarray) -> np.ndarray:  # noqa: ARG001
    return 1e6 * (262144 >> gas_range) / (4096 + 3 * (adc - 512))


SPEC = SensorSpec(
    model="bme680",
    buses=("i2c",),
    addresses=(0x76, 0x77),
    identity=(fetch(_IDENTITY, 1), b"\x61"),
    ranges="−40 to 85 degC; 30 to 110 kPa; 0 to 100 %; 180 ohm to 12.9 Mohm",
    rate_hz=5,
    make=Bme680,
    to_si=to_si,
    si_channels=lambda track: SI if track == FIELD.name else (),
)
