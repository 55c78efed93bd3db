"""What a kit is made of and what it gives, as data: lanes, sensors, channels, tracks, readings.

A *reading* is one answer of one sensor. A *track* is what it becomes on disk: one FLAC stream of integer
counts on the tick grid. Meaning (scale, offset, unit) stays here and in the session's manifest, so that the
numbers on disk are the numbers that crossed the bus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

COUNT_LIMIT = 2**23
"""Counts satisfy ``|count| < COUNT_LIMIT``: the FLAC encoder truncates anything wider, and says nothing."""


class Flag(IntEnum):
    """State of one row of a timing track."""

    FRESH = 0
    """A new sample, read in its planned slot."""
    HELD = 1
    """No reading was due at this tick; the row repeats the one before."""
    STALE = 2
    """The chip answered with a sample it had given before."""
    NOT_READY = 3
    """The chip answered, but its conversion had not finished."""
    LATE = 4
    """The slot began more than one tick late and was skipped."""
    NACK = 5
    """Nobody answered at the address."""
    TIMEOUT = 6
    """The bus or the serial line did not answer in time."""
    CORRUPT = 7
    """An answer that fails the sensor's own plausibility check."""
    STARTING = 8
    """The sensor is being configured and has no value yet."""
    LOST = 9
    """The acquisition process ended or its queue overflowed: the reading existed, if at all, out of reach."""

    @property
    def missed(self) -> bool:
        """True where a reading was due and none arrived."""
        return self in _MISSED


_MISSED = frozenset({Flag.LATE, Flag.NACK, Flag.TIMEOUT, Flag.CORRUPT, Flag.NOT_READY, Flag.LOST})


@dataclass(frozen=True)
class Channel:
    """One column of a track. ``value = count * scale + offset`` in `unit` (SI, or degC)."""

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class TrackSpec:
    """One FLAC stream: 1 to 8 channels, a fixed number of rows per tick."""

    name: str
    channels: tuple[Channel, ...]
    rows_per_tick: int = 1

    def __post_init__(self) -> None:
        if not 1 <= len(self.channels) <= 8:
            raise ValueError(f"track '{self.name}' has {len(self.channels)} channels; FLAC carries 1 to 8")

    @property
    def width(self) -> int:
        """Counts a reading brings for this track: rows_per_tick * channels, row by row."""
        return self.rows_per_tick * len(self.channels)


@dataclass(frozen=True)
class Reading:
    """One answer of one sensor, or the lack of one.

    Attributes:
        sensor: name of the sensor in its kit.
        tick: index on the 60 Hz grid of the slot it was read in.
        t_ns: midpoint of the transfer, ns on the kit's clock.
        planned_ns: when the transfer should have begun, ns on the kit's clock.
        start_ns: when it began.
        counts: one tuple per track of the sensor, each `TrackSpec.width` long; None where `flag` says why.
        flag: FRESH, or what went wrong.
    """

    sensor: str
    tick: int
    t_ns: int
    planned_ns: int
    start_ns: int
    counts: tuple[tuple[int, ...], ...] | None
    flag: Flag


@dataclass(frozen=True)
class LaneConfig:
    """One bus that can be busy. Lanes run in parallel; what shares a lane never overlaps.

    Attributes:
        name: unique in its kit: ``i2c-1``, ``uart-llegu``.
        bus: ``i2c`` or ``uart``.
        device: ``/dev/i2c-1``, ``/dev/ttyAMA0``.
        scl_hz: clock of an I2C bus, Hz. Set by the Pi's ``config.txt``; said here for the planner.
        baud: speed of a UART, bit/s.
        mux_address: address of a TCA9548A on an I2C bus, None where there is none.
    """

    name: str
    bus: str
    device: str
    scl_hz: int = 400_000
    baud: int = 115_200
    mux_address: int | None = None


@dataclass(frozen=True)
class SensorConfig:
    """One sensor of a kit. None takes the model's default.

    Attributes:
        name: unique in its kit: ``bme680``, ``llegu``.
        model: a key of `firmware_host.sensors.SENSORS`.
        lane: name of its lane.
        rate_hz: readings per second; divides 60.
        address: 7-bit I2C address.
        mux_channel: 0 to 7 where it sits behind the lane's mux.
        options: what its driver can be told; see the driver.
    """

    name: str
    model: str
    lane: str
    rate_hz: int | None = None
    address: int | None = None
    mux_channel: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KitConfig:
    """The sensors of one kit and the lanes they are on."""

    lanes: tuple[LaneConfig, ...]
    sensors: tuple[SensorConfig, ...]

    def on(self, lane: LaneConfig) -> tuple[SensorConfig, ...]:
        """The sensors of one lane."""
        return tuple(s for s in self.sensors if s.lane == lane.name)

    def sensor(self, name: str) -> SensorConfig:
        """The sensor called so."""
        return next(s for s in self.sensors if s.name == name)
