"""ISL29125: its numbers, the chip as a reader of FN8424 would try it, and the two together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from chipbench import Bench
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.driver import StartError, put
from firmware_host.errors import ConfigError
from firmware_host.sensors import SENSORS, isl29125
from firmware_host.sensors.isl29125 import passed
from firmware_host.spec import Flag

LIGHT = (500.0, 800.0, 300.0)
DIM = (120.0, 200.0, 40.0)
CONVERTED, BROWN_OUT = 0x02, 0x04
GREEN, RED, BLUE = 1, 2, 3


@pytest.fixture
def bench():
    return Bench("isl29125", LIGHT)


def sixteen(seed=0, **options):
    return Bench("isl29125", DIM, options={"bits": 16, "range_lux": 375, **options}, seed=seed)


def colour_ms(bench, nominal_ms=101.0):
    oscillator = bench.chip.oscillator
    return (oscillator.kit_ns(10**12) - oscillator.kit_ns(0)) * 1e-12 * nominal_ms


def si(counts, **settings):
    return isl29125.to_si("colours", np.array([[*counts, 7]]), settings)[0]


# Golden values: lux a count of Linux isl29125.c at 16 bits, 0.005722 and 0.152590; at 12 bits range / 4095.


@pytest.mark.parametrize(
    ("bits", "range_lux", "lux"),
    [(16, 375, 0.005722), (16, 10_000, 0.152590), (12, 375, 0.091575), (12, 10_000, 2.442)],
)
def test_lux_per_count(bits, range_lux, lux):
    assert si((1000, 2000, 0), bits=bits, range_lux=range_lux) == pytest.approx([1000 * lux, 2000 * lux, 0], rel=1e-4)


def test_a_count_at_the_end_of_the_range_is_not_a_number():
    assert np.isnan(si((4095, 4094, 0), bits=12, range_lux=375)).tolist() == [True, False, False]
    assert np.isnan(si((65_535, 4095, 0), bits=16, range_lux=375)).tolist() == [True, False, False]


def test_a_burst_is_status_green_red_blue_and_twelve_bits_are_twelve():
    burst = bytes.fromhex("32 34 12 78 f6 ff ff")
    assert isl29125.decode(burst, 16) == (0x1234, 0xF678, 0xFFFF)
    assert isl29125.decode(burst, 12) == (0x234, 0x678, 0xFFF)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 14}, "bits is 14; choose 12 or 16"),
        ({"range_lux": 1000}, "range_lux is 1000; choose 375 or 10000"),
        ({"infrared_compensation": 64}, "0 to 63 or 106 to 169"),
        ({"infrared_compensation": 170}, "0 to 63 or 106 to 169"),
        ({"infrared_compensation": -1}, "0 to 63 or 106 to 169"),
    ],
)
def test_settings_that_the_chip_has_not_are_refused(options, message):
    with pytest.raises(ConfigError, match=f"isl29125: .*{message}"):
        SENSORS["isl29125"].make(options)


@pytest.mark.parametrize(("compensation", "config2"), [(0, 0x00), (63, 0x3F), (106, 0x80), (169, 0xBF)])
def test_infrared_compensation_is_an_offset_and_six_bits(compensation, config2):
    bench = Bench("isl29125", LIGHT, options={"infrared_compensation": compensation})
    bench.start()
    assert bench.say("02", 1)[0] == config2


@given(st.sampled_from([GREEN, RED, BLUE]), st.integers(0, 2))
def test_colours_passed_are_those_between_two_looks(before, steps):
    order = [GREEN, RED, BLUE]
    now = order[(before - 1 + steps) % 3]
    finished = [order[(before - 1 + i) % 3] for i in range(steps)]
    assert passed(before, now) == sum(1 << colour - 1 for colour in finished)


def test_a_converter_that_stands_still_has_passed_nothing():
    assert passed(0, 2) == passed(2, 0) == passed(0, 0) == 0


# The chip


def test_tells_who_it_is_and_that_it_lost_its_power_until_it_is_told_to_forget(bench):
    assert bench.say("00", 9) == bytes((0x7D, 0, 0, 0, 0, 0, 0xFF, 0xFF, BROWN_OUT))
    assert bench.say("08", 1)[0] & BROWN_OUT  # reading does not clear it
    bench.say("08 00")
    assert bench.say("08", 1) == b"\x00"
    bench.say("08 ff")
    assert bench.say("08", 1) == b"\x00"  # and it cannot be set


def test_settings_read_back_without_the_reserved_bits(bench):
    bench.say("01 ff ff ff")
    assert bench.say("01", 3) == b"\x3f\xbf\x1f"
    bench.say("09 ff")
    assert bench.say("09", 1) == b"\x00"  # data only read


def test_a_reset_by_command_leaves_every_setting_and_the_status_at_zero(bench):
    """What SparkFun's start-up checks."""
    bench.say("01 0d bf 10")
    bench.say("00 46")
    assert bench.say("01", 3) == bytes(3)
    assert bench.say("08", 1) == b"\x00"
    assert bench.say("00", 1) == b"\x7d"


@pytest.mark.parametrize(
    ("mode", "order"),
    [(1, "ggg"), (2, "rrr"), (3, "bbb"), (5, "grb"), (6, "grg"), (7, "gbg")],
)
def test_converts_the_colours_of_its_mode_in_turn(mode, order):
    bench = sixteen()
    bench.say(f"01 {mode:02x}")
    length = colour_ms(bench)
    bench.advance_ms(length / 2)
    for colour in order:
        assert bench.say("08", 1)[0] >> 4 == "?grb".index(colour)
        bench.advance_ms(length)


@pytest.mark.parametrize("config", ["00", "04", "25"])
def test_nothing_is_converted_in_power_down_stand_by_or_while_it_waits_for_its_pin(bench, config):
    bench.say(f"01 {config}")
    bench.advance_ms(1000)
    assert bench.say("08", 7) == bytes((BROWN_OUT, *bytes(6)))


def test_a_colour_takes_101_ms_at_16_bits_and_a_sixteenth_at_12():
    for config, ms, full in (("05", 101.0, 65_535), ("15", 101 / 16, 4095)):
        bench = sixteen()
        bench.say(f"01 {config}")
        length = colour_ms(bench, ms)
        bench.advance_ms(0.99 * length)
        assert bench.say("09", 6) == bytes(6)
        bench.advance_ms(0.02 * length)
        green, red = (int.from_bytes(bench.say(r, 2), "little") for r in ("09", "0b"))
        assert green == pytest.approx(DIM[0] / 375 * full, rel=0.02)
        assert red == 0
        bench.advance_ms(length)
        assert int.from_bytes(bench.say("0b", 2), "little") == pytest.approx(DIM[1] / 375 * full, rel=0.02)


def test_a_finished_conversion_is_told_once(bench):
    bench.say("01 15")
    bench.advance_ms(7)
    assert bench.say("08", 1)[0] & CONVERTED
    assert not bench.say("08", 1)[0] & CONVERTED
    bench.advance_ms(7)
    assert bench.say("08", 1)[0] & CONVERTED


def test_writing_config1_begins_with_green_again():
    bench = sixteen()
    bench.say("01 05")
    bench.advance_ms(150)
    assert bench.say("08", 1)[0] >> 4 == RED
    bench.say("01 05")
    assert bench.say("08", 1)[0] >> 4 == GREEN


def test_the_range_ends_where_it_says():
    bench = Bench("isl29125", (400.0, 12_000.0, 374.0))
    for config, expected in (("15", (4095, 4095)), ("1d", (164, 4095)), ("05", (65_535, 65_535))):
        bench.say(f"01 {config}")
        bench.advance_ms(400)
        words = [int.from_bytes(bench.say(r, 2), "little") for r in ("09", "0b")]
        assert words == pytest.approx(expected, abs=4)


# Driver and chip


def test_starts_with_its_settings_and_no_brown_out(bench):
    bench.start()
    assert bench.say("01", 3) == b"\x1d\xbf\x00"
    assert not bench.say("08", 1)[0] & BROWN_OUT


def test_a_brown_out_that_a_reset_leaves_standing_is_cleared(bench):
    link = bench.link

    def stubborn(t):
        reply = link(t)
        if t == put(0x00, 0x46):
            bench.chip.registers[0x08] |= BROWN_OUT
        return reply

    bench.link = stubborn
    bench.start()
    assert bench.read(100)[0].flag is Flag.FRESH


def test_refuses_a_chip_that_forgets_what_it_was_told(bench):
    link = bench.link
    bench.link = lambda t: b"\x1d\x3f\x00" if t.register == 0x01 and t.read else link(t)
    with pytest.raises(StartError, match="did not take"):
        bench.start()


def test_every_reading_of_12_bits_is_new_and_right(bench):
    bench.start()
    answers = [bench.read(100) for _ in range(600)]
    assert {(a.flag, a.counts[0][3], len(transfers)) for a, transfers in answers} == {(Flag.FRESH, 7, 1)}
    x = np.array([bench.si(a)[0] for a, _ in answers])
    assert x.mean(axis=0) == pytest.approx(LIGHT, rel=0.002)
    assert np.abs(x - LIGHT).max() < 5 * (0.3 * 2.442 + 0.002 * 800) + 2.442


def test_16_bits_bring_one_colour_or_none_and_say_which():
    """Light that grows: a colour that is said to be new is the light of now, another one is older."""
    bench = Bench("isl29125", lambda t_ns: np.full(3, (t_ns - 10**12) * 1e-9), options={"bits": 16, "range_lux": 375})
    bench.start()
    length = colour_ms(bench)
    bench.read(100)
    masks = Counter()
    for _ in range(600):
        answer, _ = bench.read(100)
        fresh = answer.counts[0][3]
        masks[fresh] += 1
        assert answer.flag is (Flag.FRESH if fresh else Flag.STALE)
        age_ms = (bench.clock.now_ns() - 10**12) / 1e6 - bench.si(answer)[0] * 1e3
        for i in range(3):
            if fresh >> i & 1:
                assert age_ms[i] < 1.5 * length + 100 + 0.012 * bench.si(answer)[0, i] * 1e3
    assert sum(n * bin(mask).count("1") for mask, n in masks.items()) == pytest.approx(600 * 100 / length, abs=2)
    assert set(masks) <= {0, 1, 2, 4, 3, 6, 5}


def test_share_of_stale_readings_is_that_of_the_oscillators():
    slow = next(b for b in map(sixteen, range(20)) if colour_ms(b) > 104)
    slow.start()
    slow.read(100)
    flags = Counter(slow.read(100)[0].flag for _ in range(900))
    assert flags[Flag.STALE] == pytest.approx(900 * (1 - 100 / colour_ms(slow)), abs=2)


@pytest.mark.parametrize("bits", [12, 16])
def test_a_converter_that_stands_still_is_stale(bits):
    bench = Bench("isl29125", DIM, options={"bits": bits})
    bench.start()
    bench.read(100)
    bench.chip.oscillator.run_at(0.0)
    bench.read(100)
    answers = [bench.read(100)[0] for _ in range(5)]
    assert {(a.flag, a.counts[0][3]) for a in answers} == {(Flag.STALE, 0)}


def test_a_brown_out_is_seen_in_the_reading_and_mended_by_a_start(bench):
    bench.start()
    bench.read(100)
    bench.chip.power_up()
    answer, transfers = bench.read(100)
    assert (answer.flag, answer.counts, answer.restart) == (Flag.CORRUPT, None, True)
    assert len(transfers) == 1  # it costs nothing
    bench.start()
    assert bench.read(100)[0].flag is Flag.FRESH
