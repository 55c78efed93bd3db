"""The chips, and the way round: world -> registers -> bus -> driver -> SI is the world again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kitworld import START_NS, T0_NS, world_of

from firmware_host import framing
from firmware_host.clock import SECOND_NS, FakeClock
from firmware_host.errors import ConfigError, SessionError
from firmware_host.ports import BusFault
from firmware_host.sensors import SENSORS, ak9753, amg8833, bme680, bno055, isl29125, mlx90393, tsl2591
from firmware_host.simulate import ROOM_KIT, Stimulus, simulated_ports
from firmware_host.simulate.bme680 import CALIBRATION, adc_values, gas_adc
from firmware_host.spec import Flag, KitConfig


def series(readings, sensor, track):
    """(t_ns (N,), counts (N, width)) of a track's fresh readings."""
    fresh = [r for r in readings if r.sensor == sensor and r.flag is Flag.FRESH]
    return np.array([r.t_ns for r in fresh]), np.array([r.counts[track] for r in fresh])


@pytest.fixture
def recorded(inline):
    kit = inline(ROOM_KIT)
    kit.run_until(T0_NS + 20 * SECOND_NS)
    readings = kit.poll()
    return readings, kit.stop().settings


def test_bme680_returns_the_air_it_is_in(recorded):
    readings, settings = recorded
    t_ns, counts = series(readings, "bme680", 0)
    x = SENSORS["bme680"].to_si("field", counts, settings["bme680"])
    feel = world_of(ROOM_KIT).environment("bme680")
    world = np.array([feel(int(t - T0_NS - 200_000_000)) for t in t_ns])  # ordered a period earlier
    world[:, :2] = np.array([feel(int(t - T0_NS - 800_000_000))[:2] for t in t_ns])  # the filter lags by three more
    x, world = x[20:], world[20:]  # it has settled
    assert np.abs(x - world)[:, 0].max() < 0.005
    assert np.abs(x - world)[:, 1].max() < 1.0
    assert np.abs(x - world)[:, 2].max() < 0.05
    assert (np.abs(x - world) / world)[:, 3].max() < 0.002


@given(st.floats(-20, 60), st.floats(60_000, 110_000), st.floats(5, 95))
def test_bme680_registers_invert_the_compensation_over_its_range(degc, pa, percent):
    counts = np.array([[*adc_values(degc, pa, percent), 0, 0, 0]])
    x = bme680.to_si("field", counts, {"calibration": CALIBRATION})[0]
    assert x[0] == pytest.approx(degc, abs=0.005)
    assert x[1] == pytest.approx(pa, abs=1.0)
    assert x[2] == pytest.approx(percent, abs=0.05)


@given(st.floats(400, 10_000_000))
def test_bme680_gas_registers_hold_any_resistance(ohm):
    adc, gas_range = gas_adc(ohm)
    x = bme680.to_si("field", np.array([[1, 1, 1, adc, gas_range, 3]]), {"calibration": CALIBRATION})[0]
    assert x[3] == pytest.approx(ohm, rel=0.002)


def test_amg8833_shows_the_image_within_its_noise_one_frame_old(recorded):
    readings, _ = recorded
    t_ns, counts = series(readings, "amg8833", 0)
    x = amg8833.to_si("pixels", counts.reshape(-1, 8), {}).reshape(len(t_ns), 64)
    feel = world_of(ROOM_KIT).environment("amg8833")
    now = np.array([feel(int(t - T0_NS))[:64] for t in t_ns])
    before = np.array([feel(int(t - T0_NS - 100_400_000))[:64] for t in t_ns])
    low, high = np.minimum(now, before), np.maximum(now, before)
    error = np.maximum(low - x, x - high).clip(0)
    assert error.max() < 5 * 0.16 + 0.125
    assert 0.1 < (x - (now + before) / 2).std() < 0.25


def test_bno055_returns_the_rotation_at_most_a_fusion_step_old(recorded):
    readings, _ = recorded
    t_ns, counts = series(readings, "bno055", 0)
    q = bno055.to_si("quaternion", counts, {})
    feel = world_of(ROOM_KIT).environment("bno055", quaternion=True)
    now = np.array([feel(int(t - T0_NS))[:4] for t in t_ns])
    turned = 2 * (np.arctan2(q[:, 3], q[:, 0]) - np.arctan2(now[:, 3], now[:, 0]))
    assert np.abs(turned).max() < 1.5 * 0.010 + 0.0005  # 1.5 rad/s for 10 ms
    assert np.abs(turned).max() > 0.002  # and it is not the truth of this moment
    _, gravity = series(readings, "bno055", 2)
    assert (gravity == (0, 0, 981)).all()


def test_the_log_alone_gives_the_recorded_counts_bit_for_bit(inline, tmp_path):
    kit = inline(ROOM_KIT)
    kit.run_until(T0_NS + 5 * SECOND_NS)
    readings = kit.poll()
    kit.stop()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    told = {(e["t_ns"], e["sensor"], e["register"]): bytes.fromhex(e["hex"]) for e in log}
    assert len(told) == len(log)
    for r in readings:
        assert r.counts == decoded(r.sensor, lambda register, r=r: told[r.t_ns, r.sensor, register])


def decoded(sensor, told):
    """The counts of a sensor's tracks, from what its chip told from a register on."""
    match sensor:
        case "bme680":
            return (bme680.decode(told(0x1D)),)
        case "amg8833":
            return amg8833.pixels(told(0x80)), (amg8833.thermistor(told(0x0E)),)
        case "tsl2591":
            return (tsl2591.decode(told(0x13), told(0x00)[1]),)
        case "ak9753":
            return (ak9753.decode(told(0x05)),)
        case "mlx90393":
            return (mlx90393.decode(told(0x4F)),)
        case "isl29125":
            return ((*isl29125.decode(told(0x08), 12), 7),)
        case "bno055":
            return bno055.decode(told(0x08))


@pytest.fixture
def bench(tmp_path):
    """Ports of a room kit and their clock, nobody running them."""
    clock = FakeClock(START_NS)
    world_of(ROOM_KIT).save(tmp_path / "world.npz")
    return simulated_ports(ROOM_KIT, clock, stimulus_path=tmp_path / "world.npz", t0_ns=START_NS), clock


def test_a_resetting_bme680_does_not_acknowledge(bench):
    ports, clock = bench
    bus = ports["i2c-1"]
    assert bus.write_read(0x76, b"\xd0", 1) == b"\x61"
    bus.write(0x76, b"\xe0\xb6")
    with pytest.raises(BusFault) as fault:
        bus.write_read(0x76, b"\xd0", 1)
    assert fault.value.flag is Flag.NACK
    clock.advance_ns(2_000_000)
    assert bus.write_read(0x76, b"\xd0", 1) == b"\x61"


def test_nobody_answers_at_an_empty_address(bench):
    with pytest.raises(BusFault, match="0x10"):
        bench[0]["i2c-1"].write(0x10, b"\x00")


def test_bno055_speaks_its_serial_protocol_and_is_silent_in_reset(bench):
    ports, clock = bench
    line = ports["uart-0"]
    request = framing.read_request(0x00, 4)
    line.write(request[:2])
    assert line.read(0) == b""
    line.write(request[2:])
    assert line.read(0) == bytes.fromhex("bb04a0fb320f")
    line.write(framing.write_request(0x3F, b"\x20"))
    line.read(0)
    line.write(request)
    assert line.read(0) == b""
    clock.advance_ns(660_000_000)  # its oscillator is up to 1 % slow
    line.write(request)
    assert line.read(0)[:3] == b"\xbb\x04\xa0"


def test_wire_time_takes_as_long_as_the_planner_believes(tmp_path):
    clock = FakeClock(START_NS)
    world_of(ROOM_KIT).save(tmp_path / "w.npz")
    ports = simulated_ports(ROOM_KIT, clock, stimulus_path=tmp_path / "w.npz", t0_ns=START_NS, wire_time=True)
    ports["i2c-1"].write_read(0x69, b"\x80", 128)
    assert clock.now_ns() - START_NS == 1182 * SECOND_NS // 400_000
    before = clock.now_ns()
    ports["uart-0"].write(framing.read_request(0x20, 22))
    assert len(ports["uart-0"].read(12_000_000)) == 24
    assert clock.now_ns() - before == 280 * SECOND_NS // 115_200 + 2_000_000
    before = clock.now_ns()
    assert ports["uart-0"].read(5_000_000) == b""
    assert clock.now_ns() - before == 5_000_000


# Stimulus


def test_a_stimulus_survives_its_file_and_is_linear_and_clamped(tmp_path):
    table = np.array([[0, 10], [1, 20], [3, 0]], dtype=np.float32)
    Stimulus(0, 2.0, {"air": table}).save(tmp_path / "s.npz")
    feel = Stimulus.load(tmp_path / "s.npz", t0_ns=1000).environment("air")
    assert feel(1000) == [0, 10]
    assert feel(1000 + SECOND_NS // 4) == [0.5, 15]
    assert feel(1000 + SECOND_NS * 3 // 4) == [2, 10]
    assert feel(0) == [0, 10]
    assert feel(10**15) == [3, 0]


def test_a_quaternion_takes_the_short_way_and_keeps_its_length():
    table = np.zeros((2, 14), np.float32)
    table[0, :4] = (np.cos(0.1), 0, 0, np.sin(0.1))
    table[1, :4] = (-np.cos(0.3), 0, 0, -np.sin(0.3))
    feel = Stimulus(0, 1.0, {"imu": table}).environment("imu", quaternion=True)
    middle = feel(SECOND_NS // 2)[:4]
    assert middle == pytest.approx([np.cos(0.2), 0, 0, np.sin(0.2)], abs=1e-3)
    assert np.linalg.norm(middle) == pytest.approx(1)


def test_a_stimulus_that_is_none_or_does_not_fit_is_refused(tmp_path):
    (tmp_path / "x.npz").write_text("no")
    with pytest.raises(SessionError, match="is not a stimulus"):
        Stimulus.load(tmp_path / "x.npz", 0)
    world = world_of(ROOM_KIT)
    Stimulus(0, 1.0, {"bme": world.tables["bme680"]}).save(tmp_path / "y.npz")
    with pytest.raises(ConfigError, match="did you mean 'bme'"):
        simulated_ports(ROOM_KIT, FakeClock(), stimulus_path=tmp_path / "y.npz", t0_ns=0)
    Stimulus(0, 1.0, {**world.tables, "bno055": np.zeros((4, 3))}).save(tmp_path / "z.npz")
    with pytest.raises(ConfigError, match="3 columns; a bno055 feels 14"):
        simulated_ports(ROOM_KIT, FakeClock(), stimulus_path=tmp_path / "z.npz", t0_ns=0)
    assert simulated_ports(KitConfig(ROOM_KIT.lanes, ()), FakeClock(), stimulus_path=tmp_path / "z.npz", t0_ns=0) == {}
