from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.clock import SECOND_NS, TICK_HZ, FakeClock, MappedClock, MonotonicClock, tick_at, tick_ns
from firmware_host.clockmap import ClockMap

times = st.integers(-(2**60), 2**60)


@given(times, st.integers(-(10**9), 10**9))
def test_sixty_ticks_are_one_second(t0, k):
    assert tick_ns(t0, k + TICK_HZ) - tick_ns(t0, k) == SECOND_NS


@given(times, times)
def test_tick_at_finds_the_tick_that_holds_a_time(t0, t):
    k = tick_at(t0, t)
    assert tick_ns(t0, k) <= t < tick_ns(t0, k + 1)


@given(times, st.integers(-(10**9), 10**9))
def test_tick_at_is_the_inverse_of_tick_ns(t0, k):
    assert tick_at(t0, tick_ns(t0, k)) == k
    assert tick_at(t0, tick_ns(t0, k) - 1) == k - 1


def test_fake_clock_moves_only_forward_and_only_when_told():
    clock = FakeClock(100)
    clock.sleep_until_ns(50)
    assert clock.now_ns() == 100
    clock.sleep_until_ns(150)
    clock.advance_ns(7)
    assert clock.now_ns() == 157


def test_mapped_clock_tells_and_keeps_the_other_devices_time():
    base = FakeClock(5_000_000_000)
    to_base = ClockMap.affine("kit", "world", origin_ns=0, target_ns=1_000_000_000, skew_ppm=100)
    kit = MappedClock(base, to_base)
    assert kit.now_ns() == pytest.approx(4_000_000_000 - 400_000, abs=100)
    kit.sleep_until_ns(10_000_000_000)
    assert base.now_ns() == 11_001_000_000
    assert kit.now_ns() == 10_000_000_000


def test_monotonic_clock_is_clock_monotonic_and_never_wakes_early():
    clock = MonotonicClock()
    before = time.monotonic_ns()
    deadline = clock.now_ns() + 2_000_000
    clock.sleep_until_ns(deadline)
    assert before <= deadline <= time.monotonic_ns()
    clock.sleep_until_ns(before)
    assert clock.now_ns() - deadline < SECOND_NS
