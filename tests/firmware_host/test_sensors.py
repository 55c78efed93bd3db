"""The contract that every driver keeps, then what each one means by its bytes."""

from __future__ import annotations

import ast
import inspect
import json
import sys

import numpy as np
import pytest
from chipbench import Bench, converse, step_through
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kitworld import world_of

from firmware_host.clock import FakeClock
from firmware_host.driver import StartError, bus_time_ns, put
from firmware_host.errors import ConfigError
from firmware_host.link import I2CLink
from firmware_host.sensors import SENSORS, amg8833, bme680, bno055
from firmware_host.simulate import CHIPS, simulated_ports
from firmware_host.spec import COUNT_LIMIT, Flag, KitConfig, LaneConfig, SensorConfig

LANE = LaneConfig("i2c-1", "i2c", "/dev/i2c-1")
MAX_TRANSFERS_PER_READ = 4
MAX_START_STEPS = 40
DRIVER_MAY_IMPORT = {
    *("__future__", "collections.abc", "struct", "typing", "numpy"),
    *("firmware_host.driver", "firmware_host.errors", "firmware_host.spec"),
}


def test_every_sensor_has_a_simulated_chip():
    assert set(CHIPS) == set(SENSORS)


@pytest.fixture(params=sorted(SENSORS))
def model(request):
    return request.param


def wired(tmp_path, model):
    """A fresh driver, its link to a simulated chip on I2C, and the clock."""
    spec, clock = SENSORS[model], FakeClock(10**12)
    kit = KitConfig((LANE,), (SensorConfig("it", model, LANE.name),))
    world_of(kit).save(tmp_path / "world.npz")
    ports = simulated_ports(kit, clock, stimulus_path=tmp_path / "world.npz", t0_ns=10**12)
    return spec.make({}), I2CLink(ports[LANE.name], spec.addresses[0]), clock


def test_starts_on_its_chip_and_reads_fresh_values(model, tmp_path):
    sensor, link, clock = wired(tmp_path, model)
    assert len(step_through(sensor.start(), link, clock)) <= MAX_START_STEPS
    for _ in range(3):
        clock.advance_ns(2 * sensor.shortest_period_ns)
        answer, _ = converse(sensor.read(), link)
        assert answer.flag is Flag.FRESH
        assert [len(c) for c in answer.counts] == [t.width for t in sensor.tracks]


def test_no_slot_is_busier_than_the_driver_says(model, tmp_path):
    sensor, link, clock = wired(tmp_path, model)
    stretch = SENSORS[model].stretch_ns
    said = sum(bus_time_ns(LANE, t, stretch) for t in sensor.costliest)
    for step in step_through(sensor.start(), link, clock):
        assert sum(bus_time_ns(LANE, t, stretch) for t in step.transfers) <= said
    clock.advance_ns(10**9)
    _, transfers = converse(sensor.read(), link)
    assert sum(bus_time_ns(LANE, t, stretch) for t in transfers) <= said


def test_a_chip_that_does_not_take_its_settings_is_refused(model, tmp_path):
    """Every plain write is lost on the way."""
    sensor, link, clock = wired(tmp_path, model)
    if model == "amg8833":
        link(put(0x02, 0x01))  # what it is set to is what it has after power-up, if nobody was there before
    with pytest.raises(StartError, match=r"take its|does not keep|no MLX90393"):
        step_through(sensor.start(), lambda t: link(t) if t.read else b"", clock)
    assert not sensor.settings


def test_imports_nothing_that_could_sleep_or_open_a_bus(model):
    tree = ast.parse(inspect.getsource(sys.modules[SENSORS[model].make.__module__]))
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {name.name for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names}
    assert imported <= DRIVER_MAY_IMPORT


def test_refuses_another_chip_at_its_address(model):
    """All registers 0xFF, as an absent-minded chip on the bus may answer."""
    sensor = SENSORS[model].make({})
    with pytest.raises(StartError, match="no "):
        step_through(sensor.start(), lambda t: b"\xff" * t.read, FakeClock())
    assert not sensor.settings


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_counts_that_fit_a_track_or_a_flag(model, data):
    sensor = SENSORS[model].make({})
    answer, transfers = converse(sensor.read(), lambda t: data.draw(st.binary(min_size=t.read, max_size=t.read)))
    assert len(transfers) <= MAX_TRANSFERS_PER_READ
    said = sum(bus_time_ns(LANE, t, SENSORS[model].stretch_ns) for t in sensor.costliest)
    assert sum(bus_time_ns(LANE, t, SENSORS[model].stretch_ns) for t in transfers) <= said
    if answer.counts is None:
        assert answer.flag is not Flag.FRESH
        return
    assert [len(c) for c in answer.counts] == [t.width for t in sensor.tracks]
    assert all(abs(c) < COUNT_LIMIT for counts in answer.counts for c in counts)


def test_conversion_survives_json_and_names_its_columns(model, tmp_path):
    sensor, link, clock = wired(tmp_path, model)
    step_through(sensor.start(), link, clock)
    clock.advance_ns(10**9)
    answer, _ = converse(sensor.read(), link)
    stored = json.loads(json.dumps(dict(sensor.settings)))
    for track, counts in zip(sensor.tracks, answer.counts, strict=True):
        rows = np.array(counts).reshape(track.rows_per_tick, len(track.channels))
        x = SENSORS[model].to_si(track.name, rows, stored)
        assert x.dtype == np.float32
        assert x.shape == (track.rows_per_tick, len(SENSORS[model].si_channels(track.name)))
        assert np.isfinite(x).all()


def test_what_its_chip_feels_comes_back(model):
    """World, registers, driver, SI: to 5 %, or half a unit, which is coarser than every chip's noise and steps."""
    chip = CHIPS[model]
    bench = Bench(model, chip.quiet)
    bench.start()
    for _ in range(5):
        answer, _ = bench.read(after_ms=1000)
    x = np.concatenate([bench.si(answer, i).ravel() for i in range(len(bench.sensor.tracks))])
    for felt in chip.quiet:
        assert np.abs(x - felt).min() <= max(0.05 * abs(felt), 0.5), f"{felt} is nowhere in {x}"


def test_unknown_and_mistyped_options_are_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'heater_ms'"):
        SENSORS["bme680"].make({"heater_mss": 3})
    with pytest.raises(ConfigError, match="give a value like"):
        SENSORS["bno055"].make({"raw": 1})


# BME680. Calibration of a real chip and the integer driver's results for it, as published with
# pimoroni/bme680-python (issue 11 and tests/test_compensation.py): 26.69 degC, 98712 Pa, 42.402 %, 12946860 ohm.
# The floating-point form differs from the integer one by a few Pa and 0.01 %.

GOLDEN_CALIBRATION = {
    **{"T1": 26041, "T2": 26469, "T3": 3, "P1": 36673, "P2": -10515, "P3": 88, "P4": 7310, "P5": -129},
    **{"P6": 30, "P7": 46, "P8": -3177, "P9": -2379, "P10": 30, "H1": 676, "H2": 1029, "H3": 0, "H4": 45},
    **{"H5": 20, "H6": 120, "H7": -100, "G1": -30, "G2": -24754, "G3": 18},
    **{"heater_value": 48, "heater_range": 1, "range_error": 0},
}


def bme680_si(*counts, **calibration):
    c = {"calibration": {**GOLDEN_CALIBRATION, **calibration}}
    return bme680.to_si("field", np.array([counts]), c)[0]


def test_bme680_golden_values():
    temperature, pressure, humidity, gas = bme680_si(501240, 353485, 19019, 0, 0, 3)
    assert temperature == pytest.approx(26.69, abs=0.005)
    assert pressure == pytest.approx(98712, abs=6)
    assert humidity == pytest.approx(42.402, abs=0.012)
    assert gas == pytest.approx(12946860, rel=1e-6)


def test_bme680_range_error_is_signed():
    """0xF in the nibble is -1: 1340 becomes 1335, not 1415."""
    high, low = bytes(14), bytes(23)
    assert bme680.parse_calibration(low, high, b"\0\0\0\0\xf0")["range_error"] == -1
    assert bme680.parse_calibration(low, high, b"\0\0\0\0\x70")["range_error"] == 7
    fewer = bme680_si(501240, 353485, 19019, 0, 0, 3, range_error=-1)[3]
    assert fewer == pytest.approx(1 / (1.25e-7 * (1 - 512 / 1335)), rel=1e-6)


def test_bme680_gas_without_a_valid_bit_is_not_a_number():
    assert np.isnan(bme680_si(501240, 353485, 19019, 100, 3, 1)[3])
    assert not np.isnan(bme680_si(501240, 353485, 19019, 100, 3, 2)[3])


@pytest.mark.parametrize(("ms", "code"), [(0, 0), (63, 63), (100, 0x59), (160, 0x68), (4032, 0xFF), (9999, 0xFF)])
def test_bme680_heater_time(ms, code):
    assert bme680.heater_time_code(ms) == code


def test_bme680_field_layout():
    field = bytes.fromhex("80 00 56 4c d0 7a 5f 80 4a 4b 00 00 00 9d 76".replace(" ", ""))
    assert bme680.decode(field) == (0x7A5F8, 0x564CD, 0x4A4B, 0x275, 6, 3)


def test_bme680_does_not_order_a_measurement_while_one_runs(tmp_path):
    sensor, link, clock = wired(tmp_path, "bme680")
    step_through(sensor.start(), link, clock)
    answer, transfers = converse(sensor.read(), link)
    assert answer.flag is Flag.NOT_READY
    assert len(transfers) == 1
    clock.advance_ns(200_000_000)
    answer, transfers = converse(sensor.read(), link)
    assert answer.flag is Flag.FRESH
    assert len(transfers) == 2


def test_bme680_notices_that_it_lost_its_configuration(tmp_path):
    sensor, link, clock = wired(tmp_path, "bme680")
    step_through(sensor.start(), link, clock)
    link(put(0xE0, 0xB6))  # a brown-out resets it behind our back
    clock.advance_ns(10_000_000)
    assert converse(sensor.read(), link)[0].flag is Flag.NOT_READY
    clock.advance_ns(200_000_000)
    answer, _ = converse(sensor.read(), link)
    assert (answer.flag, answer.restart) == (Flag.CORRUPT, True)


# AMG8833: examples of the Grid-EYE reference specification.


@pytest.mark.parametrize(("word", "degc"), [(0x1F4, 125.0), (0xFFF, -0.25), (0xF24, -55.0), (0, 0.0)])
def test_amg8833_pixels_are_twos_complement(word, degc):
    counts = amg8833.pixels(word.to_bytes(2, "little") * 64)
    assert counts == (int(degc * 4),) * 64
    image = amg8833.to_si("pixels", np.array(counts).reshape(8, 8), {})
    assert (image == degc).all()


@pytest.mark.parametrize(("word", "degc"), [(0x7FF, 127.9375), (0x804, -0.25), (0x190, 25.0)])
def test_amg8833_thermistor_is_sign_and_magnitude(word, degc):
    count = amg8833.thermistor(word.to_bytes(2, "little"))
    assert amg8833.to_si("thermistor", np.array([[count]]), {})[0, 0] == degc


def test_amg8833_repeated_frame_is_stale_and_rows_are_rows(tmp_path):
    sensor, link, clock = wired(tmp_path, "amg8833")
    step_through(sensor.start(), link, clock)
    clock.advance_ns(300_000_000)
    first, transfers = converse(sensor.read(), link)
    assert [t.read for t in transfers] == [128, 2]
    again, _ = converse(sensor.read(), link)
    assert (first.flag, again.flag) == (Flag.FRESH, Flag.STALE)
    assert again.counts == first.counts
    image = np.array(first.counts[0]).reshape(8, 8) / 4
    assert image[7].mean() - image[0].mean() == pytest.approx(5.6, abs=0.5)  # 0.1 degC a pixel, row by row


# BNO055


def burst(quaternion, linear=(0, 0, 0), gravity=(0, 0, 981), temperature=25, calibration=0b11_10_01_00):
    words = np.array([*quaternion, *linear, *gravity], dtype="<i2").tobytes()
    return words + np.int8(temperature).tobytes() + bytes((calibration,))


def bno055_answer(raw, options=None):
    return converse(SENSORS["bno055"].make(options or {}).read(), lambda transfer: raw)[0]  # noqa: ARG005


def test_bno055_decodes_its_burst():
    answer = bno055_answer(burst((16384, 0, 0, 0), (1, -2, 3), temperature=-5))
    assert answer.flag is Flag.FRESH
    assert answer.counts == ((16384, 0, 0, 0), (1, -2, 3), (0, 0, 981), (-5, 3, 2, 1, 0))
    assert bno055.to_si("quaternion", np.array([answer.counts[0]]), {})[0].tolist() == [1, 0, 0, 0]
    assert bno055.to_si("gravity", np.array([answer.counts[2]]), {})[0, 2] == pytest.approx(9.81)


def test_bno055_raw_burst_carries_the_fused_one_at_its_end():
    measured = np.arange(1, 10, dtype="<i2").tobytes()
    answer = bno055_answer(measured + bytes(6) + burst((16384, 0, 0, 0)), {"raw": True})
    assert answer.counts[0] == (16384, 0, 0, 0)
    assert answer.counts[4:] == ((1, 2, 3), (4, 5, 6), (7, 8, 9))


@given(st.integers(0, 3), st.sampled_from([12, 13, 14]))
def test_bno055_flipped_high_bit_is_corrupt(word, bit):
    q = [8192, -8192, 8192, 8192]
    q[word] ^= 1 << bit
    assert bno055_answer(burst(q)).flag is Flag.CORRUPT


def test_bno055_zeros_ask_for_a_restart():
    answer = bno055_answer(bytes(22))
    assert (answer.flag, answer.counts, answer.restart) == (Flag.CORRUPT, None, True)
