"""What a driver is: a conversation in registers, without a bus.

A driver does no I/O. It *yields* what it wants to say and is sent what the chip answered, so that the same
code runs over I2C, over a UART, against a simulated chip, or against a list of bytes in a test; and since it
has no port and no clock it cannot block, sleep or poll. Two conversations exist:

* ``start()`` yields `Step`s. One step is taken per slot of the sensor's own, never two, and a step's
  `wait_ns` says how long the chip wants to be left alone afterwards: a 700 ms reset is 42 slots in which the
  bus belongs to the others. Waiting is done by time passing between slots.
* ``read()`` yields `Transfer`s, all within one slot, and returns an `Answer`. The first transfer is the one
  that fetches the data; its midpoint is the reading's time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from firmware_host.errors import ConfigError, unknown_name
from firmware_host.spec import Channel, Flag, LaneConfig, TrackSpec

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


@dataclass(frozen=True)
class Transfer:
    """One message to a chip: `register`, then `data`; then, where `read` is not 0, that many bytes back."""

    register: int
    data: bytes = b""
    read: int = 0


def fetch(register: int, n: int) -> Transfer:
    """Read `n` bytes from `register` on."""
    return Transfer(register, read=n)


def put(register: int, *values: int) -> Transfer:
    """Write bytes from `register` on."""
    return Transfer(register, bytes(values))


@dataclass(frozen=True)
class Step:
    """What one slot of a start-up does.

    Attributes:
        transfers: done in order; the step is sent the replies, ``b""`` for a write.
        wait_ns: the chip is not spoken to for this long afterwards.
        may_fail: a fault in the last transfer is no failure; a chip that resets may not acknowledge the order.
    """

    transfers: tuple[Transfer, ...] = ()
    wait_ns: int = 0
    may_fail: bool = False


@dataclass(frozen=True)
class Answer:
    """What a reading was worth.

    Attributes:
        flag: FRESH, STALE, NOT_READY or CORRUPT.
        counts: one tuple per track, each ``TrackSpec.width`` long; None where there is no value.
        restart: the chip has lost its configuration and must be started again.
    """

    flag: Flag
    counts: tuple[tuple[int, ...], ...] | None = None
    restart: bool = False


class StartError(Exception):
    """A start-up that the chip answered wrongly. Caught by the attendant, noted, and tried again."""


Startup = Generator[Step, tuple[bytes, ...], None]
Read = Generator[Transfer, bytes, Answer]


class Sensor(Protocol):
    """One chip as its driver sees it. `settings` is complete once a start-up has ended.

    Attributes:
        tracks: what its readings become on disk.
        settings: what `SensorSpec.to_si` needs (calibration, gain), fit for JSON.
        shortest_period_ns: the chip has nothing new before this has passed.
    """

    @property
    def tracks(self) -> tuple[TrackSpec, ...]: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def shortest_period_ns(self) -> int: ...

    @property
    def costliest(self) -> tuple[Transfer, ...]:
        """The longest list of transfers that one slot can hold, of reads and start-up steps."""

    def start(self) -> Startup:
        """A new start-up, from reset to the first valid sample. Raises StartError inside."""

    def read(self) -> Read:
        """A new reading."""


@dataclass(frozen=True)
class SensorSpec:
    """A model of chip.

    Attributes:
        model: its key in `SENSORS`.
        buses: what it can be connected to.
        addresses: 7-bit I2C addresses it can have, the default first.
        identity: a register whose reading disturbs nobody, and what it holds: a scan of a bus asks. None where
            `firmware_host.probe` has another way.
        ranges: what it can measure at its default settings, by the datasheet; in words, for the docs.
        rate_hz: default readings per second; a divisor of 60.
        make: options -> driver.
        to_si: (track name, counts (N, C) int, settings) -> (N, C') float32 in the units of `si_channels`.
            Pure: live and offline use this one function.
        si_channels: track name -> the C' channels.
        stretch_ns: how long the chip holds SCL low for each byte it sends.
        finish: a last conversation, in steps, for when a recording ends; driver -> steps.
    """

    model: str
    buses: tuple[str, ...]
    addresses: tuple[int, ...]
    identity: tuple[Transfer, bytes] | None
    ranges: str
    rate_hz: int
    make: Callable[[Mapping[str, Any]], Sensor]
    to_si: Callable[[str, np.ndarray, Mapping[str, Any]], np.ndarray]
    si_channels: Callable[[str], tuple[Channel, ...]]
    stretch_ns: int = 0
    finish: Callable[[Any], Startup] | None = None


def scaled(track: TrackSpec, counts: np.ndarray) -> np.ndarray:
    """(N, C) counts of a track whose channels are linear, as (N, C) float32 in their units."""
    scale = np.array([c.scale for c in track.channels])
    offset = np.array([c.offset for c in track.channels])
    return (counts * scale + offset).astype(np.float32)


UART_TIMEOUT_NS = 12 * MILLISECOND_NS
"""How long a whole exchange on a UART may take, its one resend included. Less than a slot."""

_UART_LATENCY_NS = 2 * MILLISECOND_NS
"""From a request's last bit to a reply's first; 1 to 4 ms are reported for the BNO055."""


def bus_time_ns(lane: LaneConfig, transfer: Transfer, stretch_ns: int = 0, *, behind_mux: bool = False) -> int:
    """How long a transfer keeps its lane busy, without software time.

    A byte on I2C is nine clocks, a start or stop one; a read after a write sends the address twice. A chip
    that stretches the clock holds it for `stretch_ns` per byte sent. On a UART a byte is ten bits, and a
    BNO055 frame adds a header of four bytes to a request and two to a reply.
    """
    sent = len(transfer.data)
    if lane.bus == "uart":
        bits = 10 * (4 + sent + (2 + transfer.read))
        return bits * SECOND_NS // lane.baud + _UART_LATENCY_NS
    clocks = 9 * (3 + sent + transfer.read) + 3 if transfer.read else 9 * (2 + sent) + 2
    if behind_mux:
        clocks += 9 * 2 + 2
    return clocks * SECOND_NS // lane.scl_hz + transfer.read * stretch_ns


def chosen(
    model: str,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    allowed: Mapping[str, range | tuple[float, ...]] = MappingProxyType({}),
) -> dict[str, Any]:
    """A driver's options: its defaults, with what was given instead.

    Args:
        allowed: for some options, the values they may have.

    Raises:
        ConfigError: an option that does not exist, of another type than its default, or not among the allowed.
    """
    for name, value in given.items():
        if name not in defaults:
            raise ConfigError(f"{model}: {unknown_name('option', name, defaults)}")
        if type(value) is not type(defaults[name]):
            raise ConfigError(
                f"{model}: option '{name}' is {value!r}; give a value like the default, {defaults[name]!r}"
            )
        if value not in allowed.get(name, (value,)):
            raise ConfigError(f"{model}: {name} is {value}; choose {_in_words(allowed[name])}")
    return {**defaults, **given}


def _in_words(allowed: range | tuple[float, ...]) -> str:
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]}"
    return ("one of " if len(allowed) > 2 else "") + ", ".join(map(str, allowed[:-1])) + f" or {allowed[-1]}"
