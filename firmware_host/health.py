"""How well a sensor and a bus are, and what follows from it: decided here, without any I/O.

A sensor that fails three times running is *suspect* and still polled; after ten it is *quarantined* and its slots
stay empty, so that a broken wire costs the bus nothing. From then on it is *probed* in its own slots, at first
after a second, then at twice the interval each time, up to sixteen; when it answers, it is configured anew
(*reinit*) and is *ok* again. A sensor that says it lost its configuration goes there directly.

A bus that is held low looks, to each sensor, as if that sensor had failed. Two different sensors that time out
with no answer between them are therefore the bus's fault: it is recovered once for all, and nobody is quarantined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from firmware_host.driver import SECOND_NS

SUSPECT_AFTER = 3
QUARANTINE_AFTER = 10
"""Failures in a row."""
FIRST_BACK_OFF_NS = SECOND_NS
MAX_BACK_OFF_NS = 16 * SECOND_NS
RECOVER_EVERY_NS = SECOND_NS
"""A bus that stays held is given its clocks again this often."""
_TIMEOUTS_OF_A_LONE_SENSOR = 3


class State(StrEnum):
    """Of a sensor; a bus is only OK or HELD."""

    STARTING = "starting"
    OK = "ok"
    SUSPECT = "suspect"
    QUARANTINED = "quarantined"
    PROBING = "probing"
    REINIT = "reinit"
    HELD = "held"


@dataclass(frozen=True)
class Transition:
    """A sensor or a lane went from one state to another.

    Attributes:
        t_ns: when, on the kit's clock.
        name: of the sensor or lane.
        before, after: states.
        why: what was seen, in words.
    """

    t_ns: int
    name: str
    before: State
    after: State
    why: str


Note = Callable[[Transition], None]


class _Noted:
    """A state whose changes are told and counted."""

    def __init__(self, name: str, state: State, note: Note) -> None:
        self.state = state
        self.transitions: Counter[str] = Counter()
        self._name = name
        self._note = note

    def _become(self, t_ns: int, state: State, why: str) -> None:
        if state is self.state:
            return
        self.transitions[f"{self.state} -> {state}"] += 1
        self._note(Transition(t_ns, self._name, self.state, state, why))
        self.state = state


class Health(_Noted):
    """One sensor's state.

    Attributes:
        state: where it is.
        why: what is wrong, None while nothing is.
    """

    def __init__(self, name: str, note: Note = lambda _: None) -> None:
        super().__init__(name, State.STARTING, note)
        self.why: str | None = None
        self._failures = 0
        self._proven = True
        self._not_before_ns = -(2**62)
        self._back_off_ns = FIRST_BACK_OFF_NS

    @property
    def reading(self) -> bool:
        """Whether its slots are for readings; otherwise they are for starting it, unless it is `resting`."""
        return self.state in (State.OK, State.SUSPECT)

    def resting(self, now_ns: int) -> bool:
        """Whether its slots are to be left empty."""
        return self.state is State.QUARANTINED and now_ns < self._not_before_ns

    def fresh(self, t_ns: int) -> None:
        """It gave a new sample."""
        self._failures = 0
        self._proven = True
        self._back_off_ns = FIRST_BACK_OFF_NS
        self.why = None
        self._become(t_ns, State.OK, "a fresh sample")

    def failed(self, t_ns: int, why: str) -> None:
        """A reading brought nothing new."""
        self._failures += 1
        if self._failures >= QUARANTINE_AFTER:
            self._quarantine(t_ns, why)
        elif self._failures >= SUSPECT_AFTER:
            self._become(t_ns, State.SUSPECT, why)

    def forgot(self, t_ns: int, why: str) -> None:
        """It has lost its configuration: start it again, at once if it has worked since the last start."""
        if self._proven:
            self._become(t_ns, State.REINIT, why)
        else:
            self._quarantine(t_ns, why)

    def start_begins(self, t_ns: int) -> None:
        """Its identity is about to be asked for."""
        if self.state is State.QUARANTINED:
            self._become(t_ns, State.PROBING, "the back-off has passed")

    def identified(self, t_ns: int) -> None:
        """It has answered as what it should be."""
        if self.state is State.PROBING:
            self._become(t_ns, State.REINIT, "it answers")

    def started(self, t_ns: int) -> None:
        """It has taken its configuration."""
        self._failures = 0
        self._proven = False
        self.why = None
        self._become(t_ns, State.OK, "configured")

    def start_failed(self, t_ns: int, why: str) -> None:
        """It did not answer as it should, or did not take its configuration."""
        self._quarantine(t_ns, why)

    def _quarantine(self, t_ns: int, why: str) -> None:
        self._failures = 0
        self.why = why
        self._not_before_ns = t_ns + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, MAX_BACK_OFF_NS)
        self._become(t_ns, State.QUARANTINED, why)


class BusHealth(_Noted):
    """One I2C lane's state.

    Attributes:
        recoveries: how often it was tried to free it.
        remedy: what the last try did, in words.
    """

    def __init__(self, name: str, sensors: int, note: Note = lambda _: None) -> None:
        """`sensors`: how many share the lane."""
        super().__init__(name, State.OK, note)
        self.recoveries = 0
        self.remedy: str | None = None
        self._sensors = sensors
        self._silent: set[str] = set()
        self._timeouts = 0
        self._recover_at_ns = 0

    @property
    def held(self) -> bool:
        """Whether failures are the bus's, not its sensors'."""
        return self.state is State.HELD

    def answered(self, t_ns: int) -> None:
        """A transfer ended, if only with a NACK: the bus moves."""
        self._silent.clear()
        self._timeouts = 0
        self._become(t_ns, State.OK, "it moves again")

    def timed_out(self, sensor: str, t_ns: int) -> None:
        """A transfer of `sensor` did not end in time."""
        self._silent.add(sensor)
        self._timeouts += 1
        alone = self._sensors == 1 and self._timeouts >= _TIMEOUTS_OF_A_LONE_SENSOR
        if not self.held and (alone or len(self._silent) > 1):
            self._recover_at_ns = t_ns
            self._become(t_ns, State.HELD, f"no transfer ends ({', '.join(sorted(self._silent))})")

    def recovery_due(self, now_ns: int) -> bool:
        """Whether to try and free it now."""
        return self.held and now_ns >= self._recover_at_ns

    def recovered(self, t_ns: int, remedy: str) -> None:
        """It was tried, as `remedy` says; whether it helped, the next transfer shows."""
        self._recover_at_ns = t_ns + RECOVER_EVERY_NS
        self.recoveries += 1
        self.remedy = remedy
