"""One sensor's attendant: starts it, reads it, and starts it again when it has been silent for long.

It has the sensor's own slots and nothing else. Whatever happens in one ends as a `Reading` with a flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_host.clock import Clock
from firmware_host.driver import SECOND_NS, Answer, Sensor, StartError, Startup, Step, Transfer
from firmware_host.link import Link
from firmware_host.ports import BusFault
from firmware_host.spec import Flag, Reading

_FAILURES_BEFORE_RESTART = 10
_MAX_BACK_OFF_NS = 30 * SECOND_NS


class Attendant:
    """Turns the slots of one sensor into readings.

    Attributes:
        started: its first start-up has ended.
        settings: what the conversion of its counts needs; empty until then.
        restarts: how often it had to be started again.
        note: why the last start-up failed, None where it did not.
    """

    def __init__(self, name: str, sensor: Sensor, link: Link, clock: Clock) -> None:
        self.name = name
        self.started = False
        self.settings: Mapping[str, Any] = {}
        self.restarts = 0
        self.note: str | None = None
        self._sensor = sensor
        self._link = link
        self._clock = clock
        self._startup: Startup | None = None
        self._step: Step | None = None
        self._ready = False
        self._not_before_ns = -(2**62)
        self._back_off_ns = SECOND_NS
        self._failures = 0
        self._waiting_flag = Flag.STARTING

    def take(self, tick: int, planned_ns: int) -> Reading:
        """Use one slot. Never raises for what a bus or chip does."""
        start_ns = self._clock.now_ns()
        if not self._ready:
            flag = self._advance(start_ns)
            return Reading(self.name, tick, start_ns, planned_ns, start_ns, None, flag)
        answer, end_ns = self._read(start_ns)
        self._judge(answer)
        return Reading(self.name, tick, (start_ns + end_ns) // 2, planned_ns, start_ns, answer.counts, answer.flag)

    def _read(self, start_ns: int) -> tuple[Answer, int]:
        """A reading, and when its first transfer, the one with the data, ended."""
        conversation = self._sensor.read()
        end_ns = start_ns
        try:
            reply = self._link(next(conversation))
            end_ns = self._clock.now_ns()
            while True:
                reply = self._link(conversation.send(reply))
        except StopIteration as finished:
            return finished.value, end_ns
        except BusFault as fault:
            return Answer(fault.flag), end_ns

    def _judge(self, answer: Answer) -> None:
        self._failures = 0 if answer.flag is Flag.FRESH else self._failures + 1
        if answer.restart or self._failures >= _FAILURES_BEFORE_RESTART:
            self._ready = False
            self._failures = 0
            self._waiting_flag = Flag.STARTING
            self.restarts += 1

    def _advance(self, now_ns: int) -> Flag:
        """One step of the start-up, if it is time for one."""
        if now_ns < self._not_before_ns:
            return self._waiting_flag
        try:
            if self._startup is None or self._step is None:
                self._startup = self._sensor.start()
                self._step = next(self._startup)
            step = self._step
            replies = tuple(self._run(t, step.may_fail and t is step.transfers[-1]) for t in step.transfers)
            self._not_before_ns = self._clock.now_ns() + step.wait_ns
            self._step = self._startup.send(replies)
        except StopIteration:
            self._started()
        except BusFault as fault:
            return self._start_failed(fault.flag, str(fault))
        except StartError as error:
            return self._start_failed(Flag.CORRUPT, str(error))
        return Flag.STARTING

    def _run(self, transfer: Transfer, may_fail: bool) -> bytes:
        try:
            return self._link(transfer)
        except BusFault:
            if may_fail:
                return b""
            raise

    def _started(self) -> None:
        self._startup = self._step = None
        self._back_off_ns = SECOND_NS
        self.note = None
        self.settings = dict(self._sensor.settings)
        self._ready = self.started = True

    def _start_failed(self, flag: Flag, why: str) -> Flag:
        self._startup = self._step = None
        self._not_before_ns = self._clock.now_ns() + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, _MAX_BACK_OFF_NS)
        self._waiting_flag = flag
        self.note = why
        return flag
