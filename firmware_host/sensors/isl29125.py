"""ISL29125: red, green and blue light, one colour after the other with one converter.

At 16 bits a colour takes 101 ms, which averages mains flicker away but gives three triples a second: at 10 Hz
each reading then brings about one new colour. At 12 bits it takes a sixteenth of that, every reading brings
all three, and the flicker of lamps gets into the data. The chip free-runs either way. Its status byte says which
colour is being converted, and what that was at the reading before says which have been finished since, so that
every row carries the colours that are new in it.

A chip that loses its power says so in the same byte, until it is told to forget it. Source: FN8424.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

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
from firmware_host.errors import ConfigError
from firmware_host.spec import Channel, Flag, TrackSpec

_DEVICE, _CONFIG, _STATUS = 0x00, 0x01, 0x08
_IDENTITY, _RESET = 0x7D, 0x46
_BURST = fetch(_STATUS, 7)
_CONVERTED, _BROWN_OUT = 0x02, 0x04
_RGB, _WIDE_RANGE, _TWELVE_BITS = 0x05, 0x08, 0x10
_INFRARED_OFFSET = 106
"""What bit 7 of CONFIG2 adds to the 6 bits of adjustment below it."""

_CONVERSION_NS = {12: 101 * MILLISECOND_NS // 16, 16: 101 * MILLISECOND_NS}
"""Of one colour. The datasheet gives 101 ms for 16 bits; the time follows the length of the counter."""
_SLOWEST = 1.1
_NEVER, _ALL = 0, 0b111

COLOURS = TrackSpec(
    "colours",
    (
        *(Channel(colour, "count") for colour in ("green", "red", "blue")),
        Channel("fresh", "1"),  # the sum of 1 green, 2 red, 4 blue: what was converted since the last reading
    ),
)
SI = tuple(Channel(colour, "lux") for colour in ("green", "red", "blue"))


class Isl29125:
    """Driver of one ISL29125.

    Options: ``bits`` (12, or 16), ``range_lux`` (10000, or 375), and ``infrared_compensation`` (169, the most and
    what the datasheet advises; 0 to 63 or 106 to 169), which depends on what the chip looks through.
    """

    tracks = (COLOURS,)

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        defaults = {"bits": 12, "range_lux": 10_000, "infrared_compensation": 169}
        o = chosen("isl29125", options, defaults, {"bits": (12, 16), "range_lux": (375, 10_000)})
        compensation, adjust = o["infrared_compensation"], o["infrared_compensation"] % _INFRARED_OFFSET
        if not 0 <= compensation <= _INFRARED_OFFSET + 63 or adjust > 63:
            raise ConfigError(f"isl29125: infrared_compensation is {compensation}; choose 0 to 63 or 106 to 169")
        mode = _RGB | (_WIDE_RANGE if o["range_lux"] == 10_000 else 0) | (_TWELVE_BITS if o["bits"] == 12 else 0)
        infrared = adjust | (0x80 if compensation >= _INFRARED_OFFSET else 0)
        self._options = o
        self._config = bytes((mode, infrared, 0))
        self.settings: Mapping[str, Any] = {}
        self._converting = _NEVER
        self._previous: tuple[int, ...] = ()

    @property
    def shortest_period_ns(self) -> int:
        """A whole triple of 12 bits; one colour of 16, so that 10 Hz may be asked."""
        return 20 * MILLISECOND_NS if self._options["bits"] == 12 else 100 * MILLISECOND_NS

    @property
    def costliest(self) -> tuple[Transfer, ...]:
        mode, infrared, interrupt = self._config
        # The mode comes last: writing it starts the converter.
        order = (put(_CONFIG + 1, infrared), put(_CONFIG + 2, interrupt), put(_CONFIG, mode))
        return (*order, put(_STATUS, 0), fetch(_CONFIG, 3), fetch(_STATUS, 1))

    def start(self) -> Startup:
        """Identity, reset, configuration read back, one whole triple."""
        (identity,) = yield Step((fetch(_DEVICE, 1),))
        if identity[0] != _IDENTITY:
            raise StartError(f"no ISL29125: identity {identity[0]:#04x}, not {_IDENTITY:#04x}")
        yield Step((put(_DEVICE, _RESET),), wait_ns=MILLISECOND_NS)
        triple_ns = int(3 * _CONVERSION_NS[self._options["bits"]] * _SLOWEST)
        *_, config, status = yield Step(self.costliest, wait_ns=triple_ns)
        if config != self._config or status[0] & _BROWN_OUT:
            raise StartError(f"ISL29125 did not take its configuration (0x01 reads {config.hex()})")
        self._converting, self._previous = _NEVER, ()
        self.settings = dict(self._options)

    def read(self) -> Read:
        """All three colours; STALE where none is new."""
        burst = yield _BURST
        status, colours = burst[0], decode(burst, self._options["bits"])
        if status & _BROWN_OUT:
            return Answer(Flag.CORRUPT, restart=True)
        converting = status >> 4 & 0x03
        fresh = self._fresh(status, converting, colours)
        self._converting, self._previous = converting, colours
        return Answer(Flag.FRESH if fresh else Flag.STALE, ((*colours, fresh),))

    def _fresh(self, status: int, converting: int, colours: tuple[int, ...]) -> int:
        """The colours that were converted since the last reading.

        A count that has changed is new in any case. At 12 bits a triple is made in 19 ms, so that whatever shows
        that the converter runs shows that all are new. Whether reading clears the flag of a finished
        conversion is not said; nothing here depends on it.
        """
        if not self._previous:
            return _ALL
        changed = sum(1 << i for i in range(3) if colours[i] != self._previous[i])
        if self._options["bits"] == 12:
            return _ALL if status & _CONVERTED or converting != self._converting or changed else 0
        return changed | passed(self._converting, converting)


def passed(before: int, now: int) -> int:
    """The colours that a converter finished which was at `before` and is at `now`: 1 green, 2 red, 3 blue.

    More than three conversions are more than this can tell; at 10 Hz and 16 bits there are one or none.
    """
    if not before or not now:
        return 0
    return sum(1 << (before - 1 + i) % 3 for i in range((now - before) % 3))


def decode(burst: bytes, bits: int) -> tuple[int, ...]:
    """The 7 bytes from STATUS on to counts of green, red, blue."""
    return tuple(word & (1 << bits) - 1 for word in struct.unpack("<3H", burst[1:7]))


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """(N, 4) counts to (N, 3) float32 lux, NaN at the end of the range. White light gives three like numbers.

    Only green is lux in the strict sense; red and blue are on its scale.
    """
    full = (1 << settings["bits"]) - 1
    colours = counts[:, :3]
    return np.where(colours >= full, np.nan, colours * (settings["range_lux"] / full)).astype(np.float32)


SPEC = SensorSpec(
    model="isl29125",
    buses=("i2c",),
    addresses=(0x44,),
    identity=(fetch(_DEVICE, 1), bytes((_IDENTITY,))),
    ranges="0 to 10,000 lux, or 375 with `range_lux`",
    rate_hz=10,
    make=Isl29125,
    to_si=to_si,
    si_channels=lambda track: SI if track == COLOURS.name else (),
)
