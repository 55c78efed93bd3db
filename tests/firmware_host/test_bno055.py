"""BNO055: profile, axes and modes; the chip as a reader of the datasheet tries it; the two together."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from chipbench import Bench, converse
from hypothesis import given
from hypothesis import strategies as st
from kitworld import START_NS, T0_NS
from scipy.spatial.transform import Rotation

from firmware_host.clock import SECOND_NS
from firmware_host.driver import StartError, bus_time_ns, put
from firmware_host.errors import ConfigError
from firmware_host.schedule import SLOT_NS, plan
from firmware_host.sensors import SENSORS
from firmware_host.simulate import BODY_KIT
from firmware_host.simulate.bno055 import found_profile
from firmware_host.spec import COUNT_LIMIT, Flag, KitConfig, LaneConfig, SensorConfig

STILL = (1, 0, 0, 0, 0, 0, 0, 0, 0, 9.81, 0, 0, 0, 25)


def turning(t_ns):
    """Half a radian about z, then x; accelerated and rotated by other numbers on each axis."""
    t = (t_ns - START_NS) / 1e9
    x, y, z, w = (Rotation.from_rotvec([0, 0, 0.5 * np.sin(t)]) * Rotation.from_rotvec([0.4, 0, 0])).as_quat()
    return np.array([w, x, y, z, 0.5 * np.sin(t), -0.2, 0.1, 1.0, 2.0, 9.5, 30.0, -20.0, 10 * np.cos(t), 31.0])


@pytest.fixture
def bench():
    return Bench("bno055", turning)


# Options


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"axis_map": "P9"}, "bno055: unknown axis_map 'P9'; known: P0, P1"),
        ({"profile": "1234"}, "profile '1234' is not 44 hexadecimal digits; copy it whole"),
        ({"profile": "xy" * 22}, "is not 44 hexadecimal"),
        ({"raw": "yes"}, "give a value like"),
    ],
)
def test_options_that_cannot_work_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SENSORS["bno055"].make(options)


@pytest.mark.parametrize("raw", [False, True])
def test_a_uart_has_room_for_60_hz(raw):
    lane = LaneConfig("uart-0", "uart", "/dev/ttyAMA0")
    sensor = SensorConfig("imu", "bno055", lane.name, rate_hz=60, options={"raw": raw})
    group = plan(KitConfig((lane,), (sensor,))).group("imu")
    assert group.period == 1
    assert group.busy_ns < SLOT_NS / 2


# Driver and chip


def test_the_six_kinds_of_data_are_those_of_the_world_at_the_last_step():
    bench = Bench("bno055", turning, options={"raw": True}, seed=2)
    bench.start()
    names = [t.name for t in bench.sensor.tracks]
    assert names == ["quaternion", "linear", "gravity", "status", "acceleration", "magnetic", "rotation"]
    rows = {name: [] for name in names}
    world = []
    for _ in range(200):
        answer, _ = bench.read(after_ms=50)
        assert answer.flag is Flag.FRESH
        for i, name in enumerate(names):
            rows[name].append(bench.si(answer, i)[0])
        world.append(turning(bench.clock.now_ns() - 5_000_000))
    x, world = {name: np.array(values) for name, values in rows.items()}, np.array(world)
    turned = Rotation.from_quat(world[:, [1, 2, 3, 0]]).inv() * Rotation.from_quat(x["quaternion"][:, [1, 2, 3, 0]])
    assert turned.magnitude().max() < 0.005
    for name, columns, noise in (("linear", slice(4, 7), 0.02), ("rotation", slice(10, 13), 0.1)):
        error = x[name] - world[:, columns]
        assert np.abs(error.mean(axis=0)).max() < noise
        assert 0.5 * noise < error.std(axis=0).min() < error.std(axis=0).max() < 2.5 * noise
    assert np.abs(x["gravity"] - world[:, 7:10]).max() < 0.006
    assert np.abs(x["acceleration"] - x["linear"] - x["gravity"]).max() < 0.016  # three roundings
    field = Rotation.from_quat(x["quaternion"][:, [1, 2, 3, 0]]).apply(x["magnetic"])
    assert np.abs(field.mean(axis=0) - (0, 20, -44)).max() < 0.2
    assert np.ptp(x["magnetic"][:, 0]) > 10  # it does turn
    assert set(x["status"][:, 0]) == {31}


def test_quaternion_has_length_one_through_noise_and_rounding(bench):
    bench.start()
    for _ in range(100):
        answer, _ = bench.read(after_ms=16.7)
        assert np.linalg.norm(answer.counts[0]) == pytest.approx(2**14, abs=1.5)


def test_no_repeated_burst_at_60_hz_and_noise_is_a_function_of_seed_and_step():
    logs = []
    for seed in (1, 1, 2):
        bench = Bench("bno055", STILL, seed=seed)
        bench.start()
        answers = [bench.read(after_ms=1000 / 60)[0] for _ in range(600)]
        assert {a.flag for a in answers} == {Flag.FRESH}
        logs.append([a.counts for a in answers])
    assert logs[0] == logs[1] != logs[2]


def test_minutes_at_20_hz_miss_nothing():
    for seed in range(2):
        bench = Bench("bno055", turning, options={"raw": True}, seed=seed)
        bench.start()
        assert {bench.read(after_ms=50)[0].flag for _ in range(20 * 120)} == {Flag.FRESH}


@given(st.binary(min_size=46, max_size=46), st.binary(min_size=8, max_size=8))
def test_any_46_bytes_give_counts_that_fit_a_track_or_a_flag(noise, rotation):
    for raw in (noise, noise[:24] + rotation + noise[32:], noise[:24] + bytes.fromhex("0040000000000000") + noise[32:]):
        sensor = SENSORS["bno055"].make({"raw": True})
        for _ in range(3):  # the first, the repeated, the question after it
            answer, _ = converse(sensor.read(), lambda t, raw=raw: raw[: t.read])
            if answer.counts is not None:
                assert [len(c) for c in answer.counts] == [t.width for t in sensor.tracks]
                assert all(abs(c) < COUNT_LIMIT for counts in answer.counts for c in counts)


def test_frozen_data_are_stale_and_the_mode_is_asked_for_in_the_next_slot(bench):
    bench.start()
    bench.read(after_ms=50)
    bench.chip.oscillator.run_at(0)
    frozen, transfers = bench.read(after_ms=50)
    assert (frozen.flag, [t.register for t in transfers]) == (Flag.STALE, [0x20])
    again, transfers = bench.read(after_ms=50)
    assert (again.flag, again.restart, [t.register for t in transfers]) == (Flag.STALE, False, [0x3D])
    assert again.counts == frozen.counts
    bench.chip.oscillator.run_at(1)
    assert bench.read(after_ms=50)[0].flag is Flag.FRESH


def test_a_burst_that_stands_still_because_the_mode_is_gone_asks_for_a_restart(bench):
    bench.start()
    bench.read(after_ms=50)
    reply = bench.chip.registers[0x20:0x36]
    bench.link = lambda t: bytes(reply) if t.register == 0x20 else b"\x00"
    assert bench.read()[0].flag is Flag.STALE
    answer, _ = bench.read()
    assert (answer.flag, answer.restart) == (Flag.CORRUPT, True)


@pytest.mark.parametrize("message", ["3f 20", "3d 00"])
def test_a_silent_reset_or_loss_of_mode_asks_for_a_restart(bench, message):
    bench.start()
    bench.read(after_ms=50)
    bench.say(message)
    answer, _ = bench.read(after_ms=700)
    assert (answer.flag, answer.restart) == (Flag.CORRUPT, True)
    bench.start()
    assert bench.read(after_ms=50)[0].flag is Flag.FRESH


def test_start_finds_a_chip_that_was_left_on_its_second_page(bench):
    bench.link(put(0x07, 1))
    bench.start()
    bench.link(put(0x07, 1))
    assert bench.read(after_ms=50)[0].restart
    bench.start()


def test_bits_that_flip_at_the_start_are_refused(bench):
    real = bench.link
    bench.link = lambda t: bytes(8) if t.register == 0x3B and t.read else real(t)
    with pytest.raises(StartError, match="did not take its configuration"):
        bench.start()


@pytest.mark.parametrize("axis_map", [f"P{i}" for i in range(8)])
def test_axis_maps_turn_all_that_is_measured_and_the_rotation_with_it(axis_map):
    """A vector taken to the world by the quaternion is the same however the chip lies."""
    bench, plain = (Bench("bno055", turning, options={"raw": True, "axis_map": m}, seed=7) for m in (axis_map, "P1"))
    rows = []
    for b in (bench, plain):
        b.start()
        answer, _ = b.read(after_ms=50)
        rows.append([b.si(answer, i)[0] for i in range(7)])
    turns = [Rotation.from_quat(np.array(r[0])[[1, 2, 3, 0]]) for r in rows]
    for i in (1, 2, 4, 5, 6):
        assert turns[0].apply(rows[0][i]) == pytest.approx(turns[1].apply(rows[1][i]), abs=0.1)
    if axis_map != "P1":
        assert not np.allclose(rows[0][6], rows[1][6], atol=1)


def test_axis_map_p0_swaps_x_and_y_as_the_datasheet_says():
    """0x21, 0x04: the new x is the old y the other way round, the new y is the old x."""
    bench = Bench("bno055", turning, options={"axis_map": "P0"})
    bench.start()
    gravity = bench.si(bench.read(after_ms=50)[0], 2)[0]
    assert gravity == pytest.approx([-2.0, 1.0, 9.5], abs=0.006)


# Calibration profile


def test_calibration_rises_with_time(bench):
    bench.start()
    seen = [tuple(bench.read(after_ms=100)[0].counts[3][1:]) for _ in range(40)]
    system, gyroscope, accelerometer, magnetometer = zip(*seen, strict=True)
    for part in (system, gyroscope, accelerometer, magnetometer):
        assert list(part) == sorted(part)
    assert seen[0][0] == 0
    assert seen[-1] == (3, 3, 3, 3)
    assert gyroscope.index(3) < magnetometer.index(3) < accelerometer.index(3)


def test_a_profile_is_saved_and_restored_across_two_recordings():
    first = Bench("bno055", turning, seed=9)
    first.start()
    assert first.sensor.settings == {"raw": False, "axis_map": "P1", "profile": ""}
    first.read(after_ms=4000)
    steps = first.finish()
    assert steps[0].wait_ns >= 19_000_000
    profile = first.sensor.settings["profile"]
    assert bytes.fromhex(profile) == found_profile(9)
    assert first.read(after_ms=50)[0].flag is Flag.FRESH  # it is left running

    second = Bench("bno055", turning, options={"profile": profile}, seed=10)
    second.start()
    status = second.read(after_ms=600)[0].counts[3]
    assert status[1:] == (3, 3, 3, 3)
    second.finish()
    assert second.sensor.settings["profile"] == profile


def test_an_uncalibrated_recording_keeps_the_profile_it_was_given():
    for profile in ("", found_profile(3).hex()):
        bench = Bench("bno055", turning, options={"profile": profile})
        bench.start()
        bench.read(after_ms=20)
        bench.finish()
        assert bench.sensor.settings["profile"] == profile


def test_a_profile_that_is_not_kept_is_refused():
    bench = Bench("bno055", turning, options={"profile": found_profile(3).hex()})
    real = bench.link
    bench.link = lambda t: bytes(22) if t.register == 0x55 and t.read else real(t)
    with pytest.raises(StartError, match="calibration profile"):
        bench.start()


def test_a_kit_saves_its_profiles_when_it_stops(inline):
    lanes, sensors = BODY_KIT.lanes[:1], BODY_KIT.sensors[:1]
    kit = inline(KitConfig(lanes, sensors))
    kit.run_until(T0_NS + 6 * SECOND_NS)
    profile = kit.stop().settings[sensors[0].name]["profile"]
    assert len(profile) == 44
    kit = inline(KitConfig(lanes, (replace(sensors[0], options={"profile": profile}),)))
    kit.run_until(T0_NS + SECOND_NS)
    assert kit.poll()[-1].counts[3][1:] == (3, 3, 3, 3)


# The chip


def test_it_is_deaf_for_650_ms_after_a_reset_and_comes_back_to_configuration(bench):
    bench.start()
    bench.say("3f 20")
    bench.advance_ms(640)
    assert not bench.chip.acknowledges()
    bench.advance_ms(20)
    assert bench.chip.acknowledges()
    assert bench.say("3d", 1) == b"\0"
    assert bench.say("20", 22) == bytes(22)
    assert bench.say("3b", 1) == b"\x80"
    assert bench.say("36", 1) == b"\x0f"


def test_settings_are_taken_in_configuration_mode_alone(bench):
    bench.say("3b 01 ")
    bench.say("3d 0c")
    bench.say("3b 00")
    assert bench.say("3b", 1) == b"\x01"
    bench.say("3d 00")
    bench.say("3b 00")  # 19 ms too early
    assert bench.say("3b", 1) == b"\x01"
    bench.advance_ms(20)
    bench.say("3b 00")
    assert bench.say("3b", 1) == b"\x00"


def test_ids_and_data_cannot_be_written(bench):
    bench.say("00 11")
    bench.say("20 ff ff")
    assert bench.say("00", 4) == bytes.fromhex("a0fb320f")
    assert bench.say("20", 2) == b"\0\0"


def test_fusion_begins_seven_ms_after_its_order_and_says_so(bench):
    bench.say("3d 0c")
    bench.advance_ms(6)
    assert bench.say("20", 8) == bytes(8)
    bench.advance_ms(2)
    assert bench.say("20", 8) != bytes(8)
    assert bench.say("39", 1) == b"\x05"


@pytest.mark.parametrize(
    ("mode", "live"), [(1, "a"), (2, "m"), (3, "g"), (7, "amg"), (8, "agf"), (9, "amf"), (12, "amgf")]
)
def test_each_mode_measures_with_its_own_sensors(bench, mode, live):
    bench.say(f"3d {mode:02x}")
    bench.advance_ms(100)
    burst = bench.say("08", 46)
    parts = {"a": burst[0:6], "m": burst[6:12], "g": burst[12:18], "f": burst[24:44]}
    assert "".join(k for k, part in parts.items() if any(part)) == live
    assert bench.say("39", 1) == (b"\x05" if "f" in live else b"\x06")


def test_units_change_what_a_count_means(bench):
    def words():
        bench.say("3d 0c")
        bench.advance_ms(10)
        burst = bench.say("08", 46)
        return struct.unpack("<22hbB", burst)

    bench.say("3b 00")
    metric = words()
    bench.say("3d 00")
    bench.advance_ms(20)
    bench.say("3b 13")
    other = words()
    assert other[2] / metric[2] == pytest.approx(1000 / 980.665, rel=0.01)  # mg
    assert other[6] / metric[6] == pytest.approx(900 * np.pi / 180 / 16, rel=0.02)  # rad/s
    assert (metric[22], other[22]) == (31, 44)  # 87.8 F in steps of two


def test_self_test_takes_its_time_and_passes(bench):
    bench.say("3d 0c")
    bench.advance_ms(50)
    bench.say("3f 01")
    assert bench.say("39", 1) == b"\x04"
    bench.advance_ms(410)
    assert bench.say("36", 4) == bytes.fromhex("0f 00 00 05")


def test_second_page_has_its_own_registers(bench):
    bench.say("07 01")
    assert bench.say("07", 3) == bytes.fromhex("01 0d 0b")
    bench.say("09 1d")
    assert bench.say("09", 1) == b"\x1d"
    bench.say("07 00")
    assert bench.say("00", 1) == b"\xa0"


def test_a_long_read_on_i2c_tears_between_words_and_never_inside_one():
    """The world steps in all words, and both their bytes, at once; in some bursts it has stepped between two words."""

    def stairs(t_ns):
        return np.array([*(1, 0, 0, 0), *[round((t_ns - START_NS) / 1e7) % 100 * 2.57] * 6, *(0, 0, 0, 25)])

    torn = 0
    bench = Bench("bno055", stairs)
    bench.start()
    for _ in range(200):
        bench.advance_ms(17)
        bench.chip.write(b"\x2e")
        gravity = struct.unpack("<3h", bench.chip.read(6, byte_ns=203_000))
        steps = [g / 257 for g in gravity]
        assert all(s == int(s) for s in steps)
        torn += len(set(steps)) > 1
    assert 5 < torn < 60  # four of six bytes at 0.2 ms in steps of 10 ms: one in twelve
    whole = [struct.unpack("<3h", bench.say("2e", 6)) for _ in range(50) if bench.advance_ms(17) is None]
    assert all(len(set(g)) == 1 for g in whole)


def test_its_oscillator_drifts():
    rates = {Bench("bno055", STILL, seed=seed).chip.oscillator._nominal for seed in range(5)}
    assert len(rates) == 5
    assert all(abs(rate - 1) <= 0.01 for rate in rates)


def test_five_on_an_i2c_lane_stay_within_their_slots():
    lane = LaneConfig("i2c-1", "i2c", "/dev/i2c-1", mux_address=0x70)
    bench = Bench("bno055", STILL, options={"profile": found_profile(1).hex()})
    said = sum(bus_time_ns(lane, t, 180_000) for t in bench.sensor.costliest)
    assert said < 5_000_000
    for step in bench.start():
        assert sum(bus_time_ns(lane, t, 180_000) for t in step.transfers) <= said
