"""One sensor's attendant: starts it, reads it, and starts it again when its health says so.

It has the sensor's own slots and nothing else. Whatever happens in one ends as a `Reading` with a flag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from firmware_host.clock import Clock
from firmware_host.driver import Answer, Sensor, StartError, Startup, Step, Transfer
from firmware_host.health import BusHealth, Health, State
from firmware_host.link import Link
from firmware_host.ports import BusFault
from firmware_host.spec import Flag, Reading

_WHY = {
    Flag.STALE: "the same sample again and again",
    Flag.NOT_READY: "its conversions do not end",
    Flag.CORRUPT: "its answers are not plausible",
}


class Attendant:
    """Turns the slots of one sensor into readings.

    Attributes:
        started: a start-up of it has ended.
        settings: what the conversion of its counts needs; empty until then.
        restarts: how often it was started again.
        retries: how often a transfer that nobody acknowledged was repeated in its slot.
    """

    def __init__(
        self,
        name: str,
        sensor: Sensor,
        link: Link,
        clock: Clock,
        health: Health | None = None,
        bus: BusHealth | None = None,
        *,
        may_retry: bool = False,
    ) -> None:
        """`bus`: of an I2C lane. `may_retry`: its slots have room for the reading and one repetition."""
        self.name = name
        self.started = False
        self.settings: Mapping[str, Any] = {}
        self.restarts = 0
        self.retries = 0
        self.health = health or Health(name)
        self._sensor = sensor
        self._link = link
        self._clock = clock
        self._bus = bus
        self._may_retry = may_retry
        self._startup: Startup | None = None
        self._step: Step | None = None
        self._not_before_ns = -(2**62)
        self._waiting_flag = Flag.STARTING

    def take(self, tick: int, planned_ns: int) -> Reading:
        """Use one slot. Never raises for what a bus or chip does."""
        start_ns = self._clock.now_ns()
        if not self.health.reading:
            flag = self._waiting_flag if self.health.resting(start_ns) else self._advance(start_ns)
            return Reading(self.name, tick, start_ns, planned_ns, start_ns, None, flag)
        answer, t_ns = self._read(start_ns)
        return Reading(self.name, tick, t_ns, planned_ns, start_ns, answer.counts, answer.flag)

    def finish(self, conversation_of: Callable[[Any], Startup]) -> None:
        """Hold the sensor's last conversation, with its waits; for after the last slot. A fault ends it."""
        if not self.health.reading:
            return
        conversation = conversation_of(self._sensor)
        try:
            step = next(conversation)
            while True:
                replies = self._do(step)
                self._clock.sleep_until_ns(self._clock.now_ns() + step.wait_ns)
                step = conversation.send(replies)
        except StopIteration:
            self.settings = dict(self._sensor.settings)
        except (BusFault, StartError):
            return

    def _read(self, start_ns: int) -> tuple[Answer, int]:
        """A reading, and the middle of its first transfer, the one with the data."""
        conversation = self._sensor.read()
        begun_ns = end_ns = start_ns
        try:
            request = next(conversation)
            try:
                reply = self._run(request)
            except BusFault as fault:
                if fault.flag is not Flag.NACK or not self._may_retry:
                    raise
                self.retries += 1
                begun_ns = self._clock.now_ns()
                reply = self._run(request)
            end_ns = self._clock.now_ns()
            while True:
                reply = self._run(conversation.send(reply))
        except StopIteration as finished:
            answer: Answer = finished.value
            self._judge(answer, end_ns)
            return answer, (begun_ns + end_ns) // 2
        except BusFault as fault:
            self._blame(fault)
            return Answer(fault.flag), end_ns

    def _judge(self, answer: Answer, t_ns: int) -> None:
        if answer.restart:
            self._waiting_flag = answer.flag
            self._restart()
            self.health.forgot(t_ns, "it lost its configuration")
        elif answer.flag is Flag.FRESH:
            self.health.fresh(t_ns)
        else:
            self._waiting_flag = answer.flag
            self.health.failed(t_ns, _WHY[answer.flag])
            self._restart_if_quarantined()

    def _blame(self, fault: BusFault) -> None:
        """A reading failed on the wire: the sensor's doing, unless the bus is held."""
        if self._bus is None or not self._bus.held:
            self._waiting_flag = fault.flag
            self.health.failed(self._clock.now_ns(), str(fault))
            self._restart_if_quarantined()

    def _restart_if_quarantined(self) -> None:
        if self.health.state is State.QUARANTINED:
            self._restart()

    def _restart(self) -> None:
        self.restarts += 1
        self._startup = self._step = None

    def _advance(self, now_ns: int) -> Flag:
        """One step of the start-up, if it is time for one."""
        if now_ns < self._not_before_ns:
            return Flag.STARTING
        try:
            if self._startup is None or self._step is None:
                self.health.start_begins(now_ns)
                self._startup = self._sensor.start()
                self._step = next(self._startup)
            step = self._step
            replies = self._do(step)
            self._not_before_ns = self._clock.now_ns() + step.wait_ns
            self._step = self._startup.send(replies)
            self.health.identified(now_ns)
        except StopIteration:
            self._started()
        except BusFault as fault:
            return self._start_failed(fault.flag, str(fault))
        except StartError as error:
            return self._start_failed(Flag.CORRUPT, str(error))
        return Flag.STARTING

    def _do(self, step: Step) -> tuple[bytes, ...]:
        return tuple(self._run(t, step.may_fail and t is step.transfers[-1]) for t in step.transfers)

    def _run(self, transfer: Transfer, may_fail: bool = False) -> bytes:
        """One transfer; the bus's health hears how it went."""
        try:
            reply = self._link(transfer)
        except BusFault as fault:
            if self._bus is not None and fault.flag is Flag.TIMEOUT:
                self._bus.timed_out(self.name, self._clock.now_ns())
            elif self._bus is not None:
                self._bus.answered(self._clock.now_ns())
            if may_fail:
                return b""
            raise
        if self._bus is not None:
            self._bus.answered(self._clock.now_ns())
        return reply

    def _started(self) -> None:
        self._startup = self._step = None
        self.settings = dict(self._sensor.settings)
        self.started = True
        self._waiting_flag = Flag.STARTING
        self.health.started(self._clock.now_ns())

    def _start_failed(self, flag: Flag, why: str) -> Flag:
        self._startup = self._step = None
        self._not_before_ns = -(2**62)
        if self._bus is None or not self._bus.held:
            self._waiting_flag = flag
            self.health.start_failed(self._clock.now_ns(), why)
        return flag
