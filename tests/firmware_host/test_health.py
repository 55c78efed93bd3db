from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.clock import SECOND_NS
from firmware_host.health import MAX_BACK_OFF_NS, BusHealth, Health, State


def test_three_failures_make_it_suspect_and_ten_quarantine_it():
    seen = []
    health = Health("amg", seen.append)
    health.started(0)
    for t in range(1, 11):
        health.failed(t, "silence")
    assert [(t.t_ns, t.before, t.after) for t in seen] == [
        (0, State.STARTING, State.OK),
        (3, State.OK, State.SUSPECT),
        (10, State.SUSPECT, State.QUARANTINED),
    ]
    assert seen[-1].why == health.why == "silence"


def test_one_fresh_sample_clears_a_suspicion_and_its_count():
    health = Health("amg")
    health.started(0)
    for t in range(5):
        health.failed(t, "silence")
    health.fresh(6)
    assert health.state is State.OK
    for t in range(9):
        health.failed(7 + t, "silence")
    assert health.state is State.SUSPECT


def test_probing_backs_off_and_a_fresh_sample_makes_it_short_again():
    health, t = Health("amg"), 0
    waits = []
    for _ in range(7):
        health.start_failed(t, "nobody")
        begun = t
        while health.resting(t):
            t += SECOND_NS // 2
        waits.append((t - begun) / SECOND_NS)
        health.start_begins(t)
        assert health.state is State.PROBING
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    health.identified(t)
    assert health.state is State.REINIT
    health.started(t)
    health.fresh(t)
    health.start_failed(t, "nobody")
    assert health.resting(t + SECOND_NS - 1)
    assert not health.resting(t + SECOND_NS)


def test_a_chip_that_forgets_is_started_at_once_but_not_for_ever():
    health = Health("bme")
    health.started(0)
    health.fresh(1)
    health.forgot(2, "reset")
    assert health.state is State.REINIT
    health.started(3)
    health.forgot(4, "reset")  # without one good sample in between
    assert health.state is State.QUARANTINED


@given(st.lists(st.sampled_from(["fresh", "failed", "forgot", "slot"]), max_size=200))
def test_whatever_happens_its_slots_are_used_again_within_the_longest_back_off(events):
    health, t = Health("x"), 0
    for event in events:
        t += SECOND_NS // 10
        if not health.reading:
            if not health.resting(t):
                health.start_begins(t)
                health.identified(t)
                health.started(t)
        elif event == "fresh":
            health.fresh(t)
        elif event != "slot":
            getattr(health, event)(t, "why")
    assert not health.resting(t + MAX_BACK_OFF_NS)


def test_two_sensors_that_time_out_in_a_row_mean_the_bus():
    bus = BusHealth("i2c-1", sensors=6)
    for t in range(5):
        bus.timed_out("amg", t)
    assert not bus.held  # it may be this chip that holds the clock
    bus.timed_out("bme", 5)
    assert bus.held


def test_an_answer_in_between_acquits_the_bus():
    bus = BusHealth("i2c-1", sensors=6)
    bus.timed_out("amg", 0)
    bus.answered(1)
    bus.timed_out("bme", 2)
    assert not bus.held


def test_a_lone_sensor_needs_three():
    bus = BusHealth("i2c-1", sensors=1)
    for t in range(2):
        bus.timed_out("amg", t)
        assert not bus.held
    bus.timed_out("amg", 3)
    assert bus.held


def test_recovery_is_tried_once_a_second_until_it_moves():
    bus = BusHealth("i2c-1", sensors=2)
    bus.timed_out("a", 0)
    bus.timed_out("b", 0)
    tried = []
    for t in range(0, 4 * SECOND_NS, SECOND_NS // 20):
        if bus.recovery_due(t):
            bus.recovered(t, "clocks")
            tried.append(t / SECOND_NS)
    assert tried == pytest.approx([0, 1, 2, 3])
    bus.answered(4 * SECOND_NS)
    assert not bus.recovery_due(5 * SECOND_NS)
    assert (bus.recoveries, bus.remedy) == (4, "clocks")
