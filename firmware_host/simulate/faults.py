"""What can go wrong with a simulated kit, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from firmware_host.clock import Clock
from firmware_host.errors import ConfigError, unknown_name
from firmware_host.simulate.chip import Chip

SENSOR_FAULTS = {
    "nack": "it does not acknowledge",
    "flip": "one bit of each answer is wrong",
    "reset": "it loses its power for an instant and says nothing",
    "freeze": "its oscillator stands still: it answers, but with the same sample",
    "late": "its oscillator runs at a tenth of its rate: conversions end late",
    "impostor": "another chip answers at its address",
    "unplug": "it is gone, and comes back as after power-up",
}
UART_FAULTS = {
    "busy": "it refuses with status 0x07",
    "partial": "half of each reply is lost",
    "garbage": "other bytes come instead of a reply",
    "silence": "no reply comes",
}
LANE_FAULTS = {
    "hold": "the data line is held low; it is released at the end",
    "wedge": "the data line is held low until the bus is clocked free after the end",
}
KINDS = {**SENSOR_FAULTS, **UART_FAULTS, **LANE_FAULTS}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        kind: a key of `KINDS`.
        on: the sensor, or for a `LANE_FAULTS` kind the lane.
        from_ns, until_ns: when, on the kit's clock; half open. A reset happens once, at `from_ns`.
        n: for ``nack``: only the first n transfers.
    """

    kind: str
    on: str
    from_ns: int
    until_ns: int
    n: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"the fault on {self.on}: {unknown_name('kind', self.kind, KINDS)}")


class Faults:
    """The faults of one lane and its chips, as its port sees them."""

    _RATES: ClassVar[dict[str, float]] = {"freeze": 0.0, "late": 0.1}

    def __init__(self, faults: Sequence[Fault], lane: str, chips: Mapping[str, Chip], clock: Clock) -> None:
        self._faults = [f for f in faults if f.on == lane or f.on in chips]
        self._lane = lane
        self._chips = chips
        self._clock = clock
        self._begun: set[Fault] = set()
        self._ended: set[Fault] = set()
        self._refused = dict.fromkeys(self._faults, 0)
        self._freed: set[Fault] = set()

    def tell(self) -> None:
        """Let begin and end what has begun and ended since the last call."""
        now_ns = self._clock.now_ns()
        for fault in self._faults:
            if fault not in self._begun and now_ns >= fault.from_ns:
                self._begun.add(fault)
                self._begin(fault)
            if fault in self._begun and fault not in self._ended and now_ns >= fault.until_ns:
                self._ended.add(fault)
                self._end(fault)

    def active(self, kind: str, on: str) -> bool:
        """Whether a fault of this kind acts on `on` now; one with `n` acts that often."""
        for fault in self._faults:
            if (fault.kind, fault.on) == (kind, on) and fault in self._begun and fault not in self._ended:
                self._refused[fault] += 1
                if fault.n is None or self._refused[fault] <= fault.n:
                    return True
        return False

    def held(self) -> bool:
        """Whether the lane's data line is low."""
        wedged = any(f.kind == "wedge" for f in self._begun - self._freed)
        return wedged or self.active("hold", self._lane)

    def clock_out(self) -> None:
        """The bus was given its nine clocks; who wedged it lets go if that fault is over."""
        self._freed |= self._ended

    def _begin(self, fault: Fault) -> None:
        if fault.kind == "reset":
            self._chips[fault.on].power_up()
        elif fault.kind in self._RATES:
            self._chips[fault.on].oscillator.run_at(self._RATES[fault.kind])

    def _end(self, fault: Fault) -> None:
        if fault.kind == "unplug":
            self._chips[fault.on].power_up()
        elif fault.kind in self._RATES:
            self._chips[fault.on].oscillator.run_at(1.0)
