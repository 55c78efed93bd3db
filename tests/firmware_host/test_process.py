"""The other process, for real: spawned, read from, stopped, and killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from functools import partial

import pytest
from kitworld import world_of

from firmware_host.clock import SECOND_NS, MonotonicClock
from firmware_host.errors import PortError
from firmware_host.ports import open_ports
from firmware_host.process import AcquisitionProcess
from firmware_host.schedule import plan
from firmware_host.simulate import ROOM_KIT, simulated_ports
from firmware_host.spec import Flag, KitConfig, LaneConfig, SensorConfig


@pytest.fixture
def room(tmp_path):
    """A room kit in a process of its own, opened; and the world's start, 1.5 s from now."""
    world_of(ROOM_KIT).save(tmp_path / "world.npz")
    t0_ns = MonotonicClock().now_ns() + 3 * SECOND_NS
    open_simulated = partial(
        simulated_ports, ROOM_KIT, stimulus_path=tmp_path / "world.npz", t0_ns=t0_ns, wire_time=True
    )
    kit = AcquisitionProcess(plan(ROOM_KIT), open_simulated, MonotonicClock)
    kit.open()
    yield kit, t0_ns
    kit.stop()


def poll_until(kit, done, timeout_s=20.0):
    """Poll until `done(readings)` or the kit has failed."""
    readings, deadline = [], time.monotonic() + timeout_s
    while not done(readings) and kit.failure is None:
        assert time.monotonic() < deadline, "nothing came"
        readings += kit.poll()
        time.sleep(0.02)
    return readings


def test_readings_settings_and_a_report_come_back(room):
    kit, t0_ns = room
    kit.start(t0_ns)
    readings = poll_until(kit, lambda got: len(got) >= 59)
    assert set(kit.settings) == {s.name for s in ROOM_KIT.sensors}
    report = kit.stop()
    readings += kit.poll()
    assert kit.failure is None
    assert Counter(r.sensor for r in readings).keys() == {s.name for s in ROOM_KIT.sensors}
    assert report.counters["slots"] == len(readings)
    assert Counter(r.flag.name for r in readings) == sum(
        (Counter(s["flags"]) for s in report.counters["sensors"].values()), Counter()
    )
    assert report.counters["lost"] == 0
    assert report.settings["bme680"]["calibration"]["T1"] == 26041
    fresh = [r for r in readings if r.flag is Flag.FRESH]
    assert len(fresh) >= 0.9 * len(readings)
    assert all(r.start_ns >= r.planned_ns and r.t_ns > r.start_ns for r in fresh)


def test_a_killed_child_is_reported_and_not_waited_for(room):
    kit, t0_ns = room
    kit.start(t0_ns)
    poll_until(kit, lambda got: len(got) >= 5)
    os.kill(kit.pid, signal.SIGKILL)
    poll_until(kit, lambda got: False)  # noqa: ARG005  until it has failed
    assert "killed by SIGKILL" in kit.failure
    begun = time.monotonic()
    report = kit.stop()
    assert time.monotonic() - begun < 2.0
    assert report.notes == (kit.failure,)
    assert "bme680" in report.settings
    assert kit.poll() == []


def test_ctrl_c_is_left_to_the_recorder(room):
    kit, t0_ns = room
    kit.start(t0_ns)
    os.kill(kit.pid, signal.SIGINT)
    assert poll_until(kit, lambda got: len(got) >= 5)
    assert kit.failure is None


def test_opened_but_never_started_stops_at_once(room):
    assert room[0].stop().counters == {}


def test_a_bus_that_cannot_be_opened_is_said_before_anything_starts():
    kit = KitConfig((LaneConfig("i2c-77", "i2c", "/dev/i2c-77"),), (SensorConfig("bme680", "bme680", "i2c-77"),))
    process = AcquisitionProcess(plan(kit), partial(open_ports, kit), MonotonicClock)
    with pytest.raises(PortError, match=r"/dev/i2c-77 does not exist; enable I2C"):
        process.open()
    assert "does not exist" in process.stop().notes[0]
