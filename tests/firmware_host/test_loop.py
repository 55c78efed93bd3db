from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from kitworld import T0_NS

from firmware_host.attend import Attendant
from firmware_host.clock import SECOND_NS, FakeClock, tick_ns
from firmware_host.loop import Deviation
from firmware_host.ports import BusFault
from firmware_host.schedule import plan
from firmware_host.sensors import SENSORS
from firmware_host.simulate import BODY_KIT, ROOM_KIT
from firmware_host.spec import Flag, KitConfig, LaneConfig, SensorConfig


def flags(readings, sensor):
    return Counter(r.flag for r in readings if r.sensor == sensor)


class Interposed:
    """An I2C port that lets a test do something before a transfer."""

    def __init__(self, port, before):
        self._port = port
        self._before = before

    def write(self, address, data):
        self._before(address)
        self._port.write(address, data)

    def write_read(self, address, data, n):
        self._before(address)
        return self._port.write_read(address, data, n)

    def close(self):
        self._port.close()


def interpose(before):
    """For `inline(wrap=...)`: run `before(address, now_ns, clock)` ahead of every I2C transfer."""

    def wrap(ports, clock):
        ports["i2c-1"] = Interposed(ports["i2c-1"], lambda address: before(address, clock.now_ns(), clock))
        return ports

    return wrap


def test_every_slot_from_tick_0_on_becomes_one_fresh_reading(inline):
    kit = inline(ROOM_KIT)
    kit.run_until(T0_NS + 10 * SECOND_NS)
    readings = kit.poll()
    report = kit.stop()
    rates_hz = {"bme680": 5, "tsl2591": 2, "ak9753": 2, "amg8833": 10, "mlx90393": 10, "isl29125": 10, "bno055": 20}
    assert Counter(r.sensor for r in readings) == {sensor: 10 * hz for sensor, hz in rates_hz.items()}
    assert {r.flag for r in readings} <= {Flag.FRESH, Flag.STALE}
    assert flags(readings, "amg8833")[Flag.STALE] <= 1
    for sensor, hz in rates_hz.items():
        ticks = [r.tick for r in readings if r.sensor == sensor]
        assert ticks == list(range(ticks[0], 600, 60 // hz))
    offset_ns = {s.name: plan(ROOM_KIT).group(s.name).offset_ns for s in ROOM_KIT.sensors}
    assert all(r.planned_ns == r.start_ns == tick_ns(T0_NS, r.tick) + offset_ns[r.sensor] for r in readings)
    assert report.counters["slots"] == 590
    assert report.counters["late"] == 0
    assert set(report.settings) == set(rates_hz)
    assert report.notes == ()


def test_equal_seeds_give_equal_readings_and_others_do_not(inline):
    def record(seed):
        kit = inline(ROOM_KIT, seed=seed)
        kit.run_until(T0_NS + 3 * SECOND_NS)
        return kit.poll()

    assert record(1) == record(1)
    assert record(1) != record(2)


def test_a_body_of_ten_keeps_every_slot(inline):
    kit = inline(BODY_KIT)
    kit.run_until(T0_NS + 2 * SECOND_NS)
    assert Counter(r.flag for r in kit.poll()) == {Flag.FRESH: 400}


def test_an_absent_sensor_is_nack_and_the_others_lose_nothing(inline):
    def unplugged(address, now_ns, clock):  # noqa: ARG001
        if address == 0x76:
            raise BusFault(Flag.NACK, "unplugged")

    kit = inline(ROOM_KIT, wrap=interpose(unplugged))
    kit.run_until(T0_NS + 10 * SECOND_NS)
    readings, report = kit.poll(), kit.stop()
    assert flags(readings, "bme680") == {Flag.NACK: 50}
    assert all(r.counts is None for r in readings if r.sensor == "bme680")
    assert flags(readings, "amg8833")[Flag.FRESH] >= 99
    assert flags(readings, "bno055") == {Flag.FRESH: 200}
    assert report.notes == ("bme680: unplugged",)
    assert "bme680" not in report.settings


def test_a_sensor_that_comes_back_is_started_again(inline):
    gone = (T0_NS + 2 * SECOND_NS, T0_NS + 5 * SECOND_NS)

    def unplugged(address, now_ns, clock):  # noqa: ARG001
        if address == 0x69 and gone[0] <= now_ns < gone[1]:
            raise BusFault(Flag.NACK, "unplugged")

    kit = inline(ROOM_KIT, wrap=interpose(unplugged))
    kit.run_until(T0_NS + 12 * SECOND_NS)
    amg = [r for r in kit.poll() if r.sensor == "amg8833"]
    report = kit.stop()
    assert flags(amg, "amg8833")[Flag.NACK] == pytest.approx(30, abs=12)
    assert Flag.STARTING in flags(amg, "amg8833")
    assert {r.flag for r in amg[-30:]} <= {Flag.FRESH, Flag.STALE}
    assert report.counters["sensors"]["amg8833"]["restarts"] == 1


def test_late_slots_are_skipped_counted_and_never_caught_up(inline):
    """The I2C bus hangs for 100 ms, which is six ticks. The UART is another lane and hears nothing of it."""
    hung = []

    def hang(address, now_ns, clock):  # noqa: ARG001
        if not hung and now_ns >= T0_NS + SECOND_NS:
            hung.append(now_ns)
            clock.sleep_until_ns(now_ns + 100_000_000)
            raise BusFault(Flag.TIMEOUT, "held low")

    kit = inline(ROOM_KIT, wrap=interpose(hang))
    kit.run_until(T0_NS + 3 * SECOND_NS)
    readings, report = kit.poll(), kit.stop()
    late = [r for r in readings if r.flag is Flag.LATE]
    assert [r.flag for r in readings if r.start_ns == hung[0]] == [Flag.TIMEOUT]
    assert len(late) == report.counters["late"] > 0
    assert all(r.counts is None and r.start_ns - r.planned_ns > SECOND_NS // 60 for r in late)
    assert {r.sensor for r in late}.isdisjoint({"bno055"})
    assert len(readings) == report.counters["slots"]
    after = [r for r in readings if r.planned_ns > hung[0] + 120_000_000]
    assert {r.start_ns - r.planned_ns for r in after} == {0}


def test_a_shared_slot_runs_its_groups_one_after_the_other(inline):
    lanes = (LaneConfig("i2c-1", "i2c", "/dev/i2c-1", mux_address=0x70),)
    sensors = tuple(SensorConfig(f"imu{i}", "bno055", "i2c-1", 20, mux_channel=i) for i in range(5))
    kit = inline(KitConfig(lanes, sensors))
    kit.run_until(T0_NS + 2 * SECOND_NS)
    readings = kit.poll()
    assert {r.flag for r in readings} == {Flag.FRESH}
    starts = sorted((r.start_ns, r.sensor) for r in readings if r.tick == 30)
    assert len(starts) == 2
    assert starts[1][0] - starts[0][0] == pytest.approx(4_580_000, rel=0.01)


def test_sensors_behind_a_mux_give_their_own_world(inline):
    """Two thermal images at one address: without the mux both would show the same noise."""
    lanes = (LaneConfig("i2c-1", "i2c", "/dev/i2c-1", mux_address=0x70),)
    sensors = tuple(SensorConfig(f"t{i}", "amg8833", "i2c-1", mux_channel=i) for i in range(2))
    kit = inline(KitConfig(lanes, sensors))
    kit.run_until(T0_NS + SECOND_NS)
    readings = kit.poll()
    frames = [{r.counts[0] for r in readings if r.sensor == s.name} for s in sensors]
    assert frames[0].isdisjoint(frames[1])


def test_a_reading_is_stamped_at_the_middle_of_the_transfer_with_the_data():
    clock, durations = FakeClock(10**9), iter((3_000_000, 5_000_000))
    frames = iter((bytes(range(128)), bytes(2)))

    def link(transfer):  # noqa: ARG001
        clock.advance_ns(next(durations))
        return next(frames)

    class Started(SENSORS["amg8833"].make):
        def start(self):
            yield from ()

    attendant = Attendant("t", Started({}), link, clock)
    assert attendant.take(0, 10**9).flag is Flag.STARTING
    reading = attendant.take(6, 10**9 - 40)
    assert (reading.planned_ns, reading.start_ns, reading.t_ns) == (10**9 - 40, 10**9, 10**9 + 1_500_000)


def test_a_failing_start_is_tried_again_after_1_2_4_up_to_16_seconds():
    clock, tries = FakeClock(), []

    def dead(transfer):  # noqa: ARG001
        tries.append(clock.now_ns())
        raise BusFault(Flag.NACK, "nobody")

    attendant = Attendant("t", SENSORS["bme680"].make({}), dead, clock)
    for tick in range(0, 100 * 60, 12):
        clock.sleep_until_ns(tick_ns(0, tick))
        assert attendant.take(tick, clock.now_ns()).flag is Flag.NACK
    gaps = np.diff(tries) / SECOND_NS
    assert gaps == pytest.approx([1, 2, 4, 8, 16, 16, 16, 16, 16], abs=0.21)


def test_deviation_agrees_with_numpy():
    rng = np.random.default_rng(3)
    t = np.sort(rng.uniform(0, 600e9, 5000)).astype(int)
    d = (rng.exponential(200e3, 5000) + t * 40e-6).astype(int)
    deviation = Deviation()
    for t_ns, d_ns in zip(t, d, strict=True):
        deviation.add(int(t_ns), int(d_ns))
    summary = deviation.summary()
    assert summary["mean_abs_us"] == pytest.approx(np.mean(d) / 1e3, abs=0.06)
    assert summary["p99_us"] == pytest.approx(np.percentile(d, 99) / 1e3, abs=20)
    assert summary["max_us"] == pytest.approx(d.max() / 1e3, abs=0.06)
    slope = np.polyfit(t / 1e9, d / 1e3, 1)[0]
    assert summary["drift_ppm"] == pytest.approx(slope, abs=0.01)


def test_deviation_of_nothing_is_nothing():
    assert set(Deviation().summary().values()) == {None}
