"""The loop: runs a plan against ports and a clock.

Every lane is a sequence of planned times computed from integers, slept to absolutely. A slot that comes up
more than a tick late is skipped and recorded as LATE; it is never caught up, because two groups back to back
would only make the next ones late as well. Being absolute, the times cannot drift from the grid; the fit of
deviation against time in `Deviation` proves it, session by session.

Lanes run in parallel. In real time each has a thread: a thread that waits for a bus sleeps in the kernel
without the interpreter's lock, so a line that does not answer, or a bus that hangs for its timeout, delays
nobody else. On a simulated clock the same lanes are merged into one sequence by planned time and run in one
thread, which is deterministic.
"""

from __future__ import annotations

import heapq
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, cast

from firmware_host.attend import Attendant
from firmware_host.clock import Clock, tick_at, tick_ns
from firmware_host.health import BusHealth, Health, Transition
from firmware_host.link import I2CLink, Link, UartLink
from firmware_host.ports import I2CPort, Mux, SerialPort
from firmware_host.schedule import SLOT_NS, Group, LanePlan, Plan, address_of, make_sensor
from firmware_host.sensors import SENSORS
from firmware_host.spec import Flag, Reading

Emit = Callable[[Reading | Transition], None]
_BIN_US, _BINS = 10, 10_000
_QUEUE_LIMIT = 100_000
_JOIN_S = 2.0
_WATCH_NS = 100_000
"""A thread wakes some 50 to 100 us after it asked to. So a lane asks to be woken this much early, and watches the
clock for the rest: under 1 % of a core for a room kit."""


@dataclass(frozen=True, order=True)
class Turn:
    """One group's slot at one tick; turns sort by planned time."""

    planned_ns: int
    sensor: str
    tick: int
    lane: str


class Deviation:
    """How far from their planned times transfers began, in bounded memory.

    Percentiles come from a histogram of 10 us bins up to 100 ms; the drift is the slope of a running
    least-squares line of deviation over planned time.
    """

    def __init__(self) -> None:
        self._n = 0
        self._sum_abs = 0.0
        self._max_abs = 0.0
        self._mean_t = self._mean_d = self._var_t = self._cov = 0.0
        self._bins = [0] * _BINS

    def add(self, t_ns: int, deviation_ns: int) -> None:
        """One transfer: its planned time since the start, and how much later it began."""
        t, d = t_ns / 1e9, deviation_ns / 1e3
        self._n += 1
        self._sum_abs += abs(d)
        self._max_abs = max(self._max_abs, abs(d))
        self._bins[min(int(abs(d)) // _BIN_US, _BINS - 1)] += 1
        dt = t - self._mean_t
        self._mean_t += dt / self._n
        self._mean_d += (d - self._mean_d) / self._n
        self._var_t += dt * (t - self._mean_t)
        self._cov += dt * (d - self._mean_d)

    def summary(self) -> dict[str, float | None]:
        """Mean, percentiles and maximum of |deviation| in us; drift in ppm. None before the first transfer."""
        if not self._n:
            return dict.fromkeys(("mean_abs_us", "p99_us", "p999_us", "max_us", "drift_ppm"))
        return {
            "mean_abs_us": round(self._sum_abs / self._n, 1),
            "p99_us": self._percentile(0.99),
            "p999_us": self._percentile(0.999),
            "max_us": round(self._max_abs, 1),
            "drift_ppm": round(self._cov / self._var_t, 3) if self._var_t else 0.0,
        }

    def _percentile(self, share: float) -> float:
        """Upper edge of the bin below which `share` of all lie, at most the maximum."""
        wanted, seen = share * self._n, 0
        for i, n in enumerate(self._bins):
            seen += n
            if seen >= wanted:
                return round(min((i + 1) * _BIN_US, self._max_abs), 1)
        return round(self._max_abs, 1)


class _Tally:
    """What became of one sensor's slots since tick 0."""

    def __init__(self) -> None:
        self.flags: Counter[Flag] = Counter()
        self.deviation = Deviation()

    def add(self, reading: Reading, t0_ns: int) -> None:
        self.flags[reading.flag] += 1
        if reading.flag is not Flag.LATE:
            self.deviation.add(reading.planned_ns - t0_ns, reading.start_ns - reading.planned_ns)


class Loop:
    """A plan, brought to life on open ports.

    Slots before tick 0 are used for start-up and say nothing; every slot from tick 0 on becomes exactly one
    reading, given to `emit`. So is every change of a sensor's or a bus's health, whenever it happens.
    """

    def __init__(
        self, plan: Plan, ports: Mapping[str, I2CPort | SerialPort], clock: Clock, t0_ns: int, emit: Emit
    ) -> None:
        self._plan = plan
        self._ports = ports
        self._clock = clock
        self._t0_ns = t0_ns
        self._emit = emit
        self._buses = {
            lane.lane.name: BusHealth(lane.lane.name, len(lane.groups), emit)
            for lane in plan.lanes
            if lane.lane.bus == "i2c" and lane.groups
        }
        self._attendants = self._attend()
        self._tallies = {s.name: _Tally() for s in plan.kit.sensors}

    def turns(self, lane: LanePlan) -> Iterator[Turn]:
        """The turns of one lane from now on, for ever, by planned time."""
        return heapq.merge(*(self._turns_of(lane.lane.name, group) for group in lane.groups))

    def take(self, turn: Turn) -> None:
        """Run one turn, now; or skip it where it has become late."""
        bus = self._buses.get(turn.lane)
        if bus is not None and bus.recovery_due(self._clock.now_ns()):
            remedy = cast(I2CPort, self._ports[turn.lane]).recover()
            bus.recovered(self._clock.now_ns(), remedy)
        now_ns = self._clock.now_ns()
        if now_ns - turn.planned_ns > SLOT_NS:
            reading = Reading(turn.sensor, turn.tick, now_ns, turn.planned_ns, now_ns, None, Flag.LATE)
        else:
            reading = self._attendants[turn.sensor].take(turn.tick, turn.planned_ns)
        if turn.tick >= 0:
            self._tallies[turn.sensor].add(reading, self._t0_ns)
            self._emit(reading)

    def finish(self, lane: LanePlan) -> None:
        """After the last turn of a lane: let the sensors that have something to say at the end say it."""
        for group in lane.groups:
            conversation_of = SENSORS[self._plan.kit.sensor(group.sensor).model].finish
            if conversation_of is not None:
                self._attendants[group.sensor].finish(conversation_of)

    def settings(self) -> dict[str, dict[str, Any]]:
        """Sensor -> what its conversion to SI needs. A sensor is missing until it has started."""
        return {name: dict(a.settings) for name, a in self._attendants.items() if a.started}

    def notes(self) -> list[str]:
        """One sentence for each sensor that is out of order."""
        return [f"{name}: {a.health.why}" for name, a in self._attendants.items() if a.health.why]

    def counters(self) -> dict[str, Any]:
        """Slots, late slots, and per sensor its flags, restarts, retries, health and deviation, since tick 0."""
        sensors = {
            name: {
                "flags": {flag.name: n for flag, n in sorted(tally.flags.items())},
                "restarts": self._attendants[name].restarts,
                "retries": self._attendants[name].retries,
                "health": str(self._attendants[name].health.state),
                "transitions": dict(self._attendants[name].health.transitions),
                "deviation": tally.deviation.summary(),
            }
            for name, tally in self._tallies.items()
        }
        flags = sum((tally.flags for tally in self._tallies.values()), Counter())
        lanes = {
            name: {"transitions": dict(bus.transitions), "recoveries": bus.recoveries, "remedy": bus.remedy}
            for name, bus in self._buses.items()
        }
        return {"slots": flags.total(), "late": flags[Flag.LATE], "lanes": lanes, "sensors": sensors}

    def _attend(self) -> dict[str, Attendant]:
        links = _links(self._plan, self._ports, self._clock)
        attendants = {}
        for lane in self._plan.lanes:
            for group in lane.groups:
                config = self._plan.kit.sensor(group.sensor)
                attendants[config.name] = Attendant(
                    config.name,
                    make_sensor(config),
                    links[config.name],
                    self._clock,
                    Health(config.name, self._emit),
                    self._buses.get(lane.lane.name),
                    may_retry=lane.lane.bus == "i2c" and lane.spare_ns(group) >= group.busy_ns,
                )
        return attendants

    def _turns_of(self, lane: str, group: Group) -> Iterator[Turn]:
        now = tick_at(self._t0_ns, self._clock.now_ns())
        first = now + 1 + (group.phase - now - 1) % group.period
        for tick in count(first, group.period):
            yield Turn(tick_ns(self._t0_ns, tick) + group.offset_ns, group.sensor, tick, lane)


class LaneThreads:
    """A loop in real time: a thread for every lane, and one queue for what they read.

    An emitted reading or transition is in the queue before its slot ends.

    Attributes:
        fault: the traceback of a lane that failed, None while none has. That is a defect, not a glitch.
        lost: readings dropped because nobody fetched them.
    """

    def __init__(self, plan: Plan, ports: Mapping[str, I2CPort | SerialPort], clock: Clock, t0_ns: int) -> None:
        self.loop = Loop(plan, ports, clock, t0_ns, self._put)
        self.fault: str | None = None
        self.lost = 0
        self._clock = clock
        self._queue: SimpleQueue[Reading | Transition] = SimpleQueue()
        self._stop = Event()
        self._threads = [
            Thread(target=self._run, args=(lane,), name=lane.lane.name, daemon=True) for lane in plan.lanes
        ]

    def start(self) -> None:
        """Begin with the next slots."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End each lane at its next turn."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def drain(self) -> tuple[list[Reading], list[Transition]]:
        """Everything that has come since the last call."""
        readings: list[Reading] = []
        transitions: list[Transition] = []
        try:
            while True:
                item = self._queue.get_nowait()
                if isinstance(item, Reading):
                    readings.append(item)
                else:
                    transitions.append(item)
        except Empty:
            return readings, transitions

    def _put(self, item: Reading | Transition) -> None:
        if self._queue.qsize() < _QUEUE_LIMIT:
            self._queue.put(item)
        else:
            self.lost += 1

    def _run(self, lane: LanePlan) -> None:
        try:
            for turn in self.loop.turns(lane):
                self._clock.sleep_until_ns(turn.planned_ns - _WATCH_NS)
                while self._clock.now_ns() < turn.planned_ns:
                    pass
                if self._stop.is_set():
                    break
                self.loop.take(turn)
            self.loop.finish(lane)
        except Exception:
            self.fault = f"lane {lane.lane.name} failed:\n{traceback.format_exc()}"


def _links(plan: Plan, ports: Mapping[str, I2CPort | SerialPort], clock: Clock) -> dict[str, Link]:
    """Sensor -> its way to its registers."""
    links: dict[str, Link] = {}
    for lane in filter(plan.kit.on, plan.kit.lanes):
        port, sensors = ports[lane.name], plan.kit.on(lane)
        if lane.bus == "uart":
            links |= {s.name: UartLink(cast(SerialPort, port), clock) for s in sensors}
            continue
        bus = cast(I2CPort, port)
        mux = None if lane.mux_address is None else Mux(bus, lane.mux_address)
        for s in sensors:
            behind = bus if mux is None or s.mux_channel is None else mux.channel(s.mux_channel)
            links[s.name] = I2CLink(behind, address_of(s))
    return links
