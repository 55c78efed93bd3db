"""Clocks that can be asked the time and waited on, and the 60 Hz grid they are asked about.

A loop that sleeps "for a sixtieth" loses every overshoot for ever. Here a deadline is computed from integers,
``t0 + k * 10**9 // 60``, and slept to absolutely, so that an overshoot of one tick is gone by the next.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import time
from typing import Protocol

from firmware_host.clockmap import ClockMap

TICK_HZ = 60
SECOND_NS = 1_000_000_000


def tick_ns(t0_ns: int, k: int) -> int:
    """When tick `k` begins, ns on the clock of `t0_ns`. Exact: sixty ticks are one second, always."""
    return t0_ns + k * SECOND_NS // TICK_HZ


def tick_at(t0_ns: int, t_ns: int) -> int:
    """The tick whose interval holds `t_ns`: the largest k with ``tick_ns(t0_ns, k) <= t_ns``."""
    k = (t_ns - t0_ns) * TICK_HZ // SECOND_NS
    return k + 1 if tick_ns(t0_ns, k + 1) <= t_ns else k


class Clock(Protocol):
    """A named time line."""

    def now_ns(self) -> int:
        """The time now, ns."""

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` or as soon after it as can be; at once where it has passed."""


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_TIMER_ABSTIME = 1


class MonotonicClock:
    """CLOCK_MONOTONIC, slept on absolutely.

    ``time.sleep(deadline - now)`` has a hole: a preemption between reading the clock and the call makes the
    wake-up late by that much. ``clock_nanosleep`` with an absolute deadline has none.
    """

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until_ns(self, deadline_ns: int) -> None:
        spec = _Timespec(*divmod(deadline_ns, SECOND_NS))
        while _libc.clock_nanosleep(time.CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(spec), None):
            if time.monotonic_ns() >= deadline_ns:  # interrupted by a signal: go on until it is time
                return


class FakeClock:
    """A clock that only moves when it is slept on or told to; for simulation and tests."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)

    def advance_ns(self, duration_ns: int) -> None:
        """Let `duration_ns` pass."""
        self._now_ns += duration_ns


class LanedClock:
    """Simulated time in which several lanes are busy at once, although one thread runs them in turn.

    What a lane sleeps, only that lane is later by. Every other time is that of `base`.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._busy_until_ns: dict[str, int] = {}
        self._lane: str | None = None

    def switch(self, lane: str | None) -> None:
        """From now on it is `lane` that asks and sleeps; None for nobody in particular."""
        self._lane = lane

    def now_ns(self) -> int:
        now_ns = self._base.now_ns()
        return now_ns if self._lane is None else max(now_ns, self._busy_until_ns.get(self._lane, now_ns))

    def sleep_until_ns(self, deadline_ns: int) -> None:
        if self._lane is None:
            self._base.sleep_until_ns(deadline_ns)
        else:
            self._busy_until_ns[self._lane] = max(deadline_ns, self.now_ns())


class MappedClock:
    """Another device's clock: `base` seen through a map, as a second Pi's oscillator would show it."""

    def __init__(self, base: Clock, to_base: ClockMap) -> None:
        """`to_base` maps this clock's times to those of `base`."""
        self._base = base
        self._to_base = to_base

    def now_ns(self) -> int:
        return self._to_base.inverse(self._base.now_ns())

    def sleep_until_ns(self, deadline_ns: int) -> None:
        self._base.sleep_until_ns(self._to_base.forward(deadline_ns))
