"""What sits at an address, and that asking has not disturbed it."""

from __future__ import annotations

import pytest
from chipbench import Bench
from hypothesis import given
from hypothesis import strategies as st
from kitworld import world_of
from test_amg8833 import clock_chip

from firmware_host import probe
from firmware_host.ports import BusFault
from firmware_host.probe import identify
from firmware_host.sensors import SENSORS
from firmware_host.spec import Flag, KitConfig, SensorConfig

MODELS = sorted(SENSORS)


def bench_of(model):
    kit = KitConfig((), (SensorConfig("it", model, "lane"),))
    feels = world_of(kit).environment("it", quaternion=model == "bno055")
    bench = Bench(model, lambda t_ns: feels(t_ns - 10**12))
    bench.advance_ms(500)
    return bench


def test_who_has_no_identity_is_known_in_another_way():
    assert {model for model, spec in SENSORS.items() if spec.identity is None} == set(probe._WAYS)


@pytest.mark.parametrize("model", MODELS)
def test_each_is_known_at_each_of_its_addresses(model):
    for address in SENSORS[model].addresses:
        assert identify(bench_of(model).link, address) == model


@pytest.mark.parametrize("model", MODELS)
def test_each_is_known_while_it_measures_and_goes_on_measuring(model):
    bench = bench_of(model)
    bench.start()
    for _ in range(20):
        bench.advance_ms(600)
        bench.read()
        bench.advance_ms(7)
        assert identify(bench.link, SENSORS[model].addresses[0]) == model
        bench.advance_ms(600)
        answer, _ = bench.read()
        assert answer.flag in (Flag.FRESH, Flag.STALE)
        assert answer.counts is not None


@pytest.mark.parametrize("model", MODELS)
def test_nothing_but_register_numbers_and_a_command_that_does_not_exist_is_written(model):
    bench = bench_of(model)

    def link(transfer):
        assert transfer.read
        assert not transfer.data
        return bench.link(transfer)

    assert identify(link, SENSORS[model].addresses[0]) == model


def test_the_two_at_0x29_are_told_apart_whatever_each_has_in_its_registers():
    assert {identify(bench_of(model).link, 0x29) for model in ("tsl2591", "bno055")} == {"tsl2591", "bno055"}
    impatient = bench_of("bno055")
    impatient.chip.registers[0x12] = 0x50  # a magnetometer's reading that happens to be a TSL2591's identity
    assert identify(impatient.link, 0x29) == "bno055"


@pytest.mark.parametrize(
    ("address", "registers"),
    [
        (0x76, {0xD0: 0x58}),  # BMP280
        (0x29, {0xC0: 0xEE, 0x12: 0x44, 0xB2: 0x44}),  # VL53L0X, TCS34725
        (0x44, {0x00: 0x00}),  # INA219
        (0x64, {0x00: 0x48, 0x01: 0x12}),
        (0x0C, {0x00: 0x48, 0x01: 0x09}),  # AK09916
        (0x0C, {0x00: 0x48, 0x90: 0x1F}),  # one whose other register happens to look like a rejection
        (0x18, {0x0F: 0x33}),  # LIS3DH
        (0x68, {0x75: 0x68, 0x6B: 0x40}),  # MPU-6050, asleep
        (0x69, {0x00: 0xEA}),  # ICM-20948
    ],
)
def test_strangers_are_nobody(address, registers):
    assert identify(lambda t: bytes(registers.get(t.register + i, 0) for i in range(t.read)), address) is None


@given(st.tuples(*(st.integers(0, 0x59) for _ in range(6))), st.sampled_from([0x68, 0x69]))
def test_a_clock_at_any_time_is_no_grid_eye(time, address):
    link, written = clock_chip(*time)
    assert identify(link, address) is None
    assert not written


def test_silence_and_unknown_addresses_are_nobody():
    def nobody(_):
        raise BusFault(Flag.NACK, "nobody answers")

    for model in MODELS:
        for address in SENSORS[model].addresses:
            assert identify(nobody, address) is None
    assert identify(bench_of("bme680").link, 0x50) is None


@given(st.randoms(use_true_random=False))
def test_noise_is_no_grid_eye(random):
    assert identify(lambda t: random.randbytes(t.read), 0x68) is None


def test_mlx90393_shows_its_reset_to_whoever_asks_first():
    bench = bench_of("mlx90393")
    assert bench.chip._was_reset
    assert identify(bench.link, 0x0C) == "mlx90393"
    assert not bench.chip._was_reset
