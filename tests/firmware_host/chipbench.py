"""One driver, one chip and a clock on a bench: no loop, no bus, no file."""

from __future__ import annotations

import numpy as np

from firmware_host.clock import FakeClock
from firmware_host.ports import BusFault
from firmware_host.sensors import SENSORS
from firmware_host.simulate import CHIPS
from firmware_host.spec import Flag


def step_through(steps, link, clock):
    """Run a conversation of steps as the loop would, but with the time between slots as short as is allowed."""
    taken = []
    try:
        step = next(steps)
        while True:
            taken.append(step)
            replies = []
            for t in step.transfers:
                try:
                    replies.append(link(t))
                except BusFault:
                    if not (step.may_fail and t is step.transfers[-1]):
                        raise
                    replies.append(b"")
            clock.advance_ns(step.wait_ns)
            step = steps.send(tuple(replies))
    except StopIteration:
        return taken


def converse(conversation, link):
    """One reading: its answer and its transfers."""
    transfers = [next(conversation)]
    try:
        while True:
            transfers.append(conversation.send(link(transfers[-1])))
    except StopIteration as finished:
        return finished.value, transfers


class Bench:
    """A driver and its chip, which feels `world`: a row of its stimulus, or a function of the time in ns."""

    def __init__(self, model, world, *, options=None, seed=0, chip=None):
        feels = (lambda t_ns: list(world(t_ns))) if callable(world) else lambda t_ns: list(world)  # noqa: ARG005
        self.clock = FakeClock(10**12)
        self.spec = SENSORS[model]
        self.chip = (chip or CHIPS[model])(self.clock, feels, seed)
        self.sensor = self.spec.make(options or {})

    def link(self, transfer):
        """As an I2C bus without wire time."""
        if not self.chip.acknowledges():
            raise BusFault(Flag.NACK, "nobody answers")
        self.chip.write(bytes((transfer.register,)) + transfer.data)
        return self.chip.read(transfer.read) if transfer.read else b""

    def say(self, message, n=0):
        """A raw message as hex, and what comes back."""
        self.chip.write(bytes.fromhex(message))
        return self.chip.read(n) if n else b""

    def advance_ms(self, ms):
        self.clock.advance_ns(round(ms * 1e6))

    def start(self):
        return step_through(self.sensor.start(), self.link, self.clock)

    def finish(self):
        return step_through(self.spec.finish(self.sensor), self.link, self.clock)

    def read(self, after_ms=0.0):
        self.advance_ms(after_ms)
        return converse(self.sensor.read(), self.link)

    def si(self, answer, track=0):
        """A reading's values of one track, (rows, channels)."""
        t = self.sensor.tracks[track]
        counts = np.array(answer.counts[track]).reshape(t.rows_per_tick, len(t.channels))
        return self.spec.to_si(t.name, counts, self.sensor.settings)
