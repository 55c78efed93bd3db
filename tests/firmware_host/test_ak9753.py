"""AK9753: its numbers, the chip as a reader of the sister chip's datasheet would try it, and the two together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from chipbench import Bench

from firmware_host.driver import StartError, put
from firmware_host.errors import ConfigError
from firmware_host.sensors import SENSORS, ak9753
from firmware_host.spec import Flag

WARM = (100.0, -200.0, 300.0, 1200.0, 24.0)
READY, OVERRUN = 0x01, 0x02
FIVE_HERTZ = "1c d4"  # continuous mode 0, 1.1 Hz, a set every 144 ms


@pytest.fixture
def bench():
    return Bench("ak9753", WARM)


def set_ms(bench, nominal_ms):
    """How long a set takes by the clock of the bench."""
    oscillator = bench.chip.oscillator
    return (oscillator.kit_ns(10**12) - oscillator.kit_ns(0)) * 1e-12 * nominal_ms


# Golden values: Winer's AK9753.Butterfly.ino, 14286.4 / 32767 pA a count and 26.75 degC + raw / 512.


def test_a_burst_is_four_currents_a_temperature_and_what_was_lost():
    burst = bytes.fromhex("03 e5 00 1b ff ff 7f 01 80 40 fe 00")
    counts = ak9753.decode(burst)
    assert counts == (229, -229, 32767, -32767, -7, 1)
    x = ak9753.to_si("warmth", np.array([counts]), {})[0]
    assert x == pytest.approx([99.8439, -99.8439, 14286.4, -14286.4, 26.75 - 448 / 512], rel=1e-5)


@pytest.mark.parametrize(("raw", "degc"), [(0, 26.75), (512, 27.75), (-13_696, 0.0), (0x7FC0, 90.625)])
def test_temperature_has_ten_bits_below_none(raw, degc):
    for low in (0, 0x3F):
        burst = bytes(9) + (raw & 0xFFFF | low).to_bytes(2, "little") + b"\0"
        assert ak9753.to_si("warmth", np.array([ak9753.decode(burst)]), {})[0, 4] == degc


def test_a_filter_that_it_has_not_is_refused_with_those_it_has():
    with pytest.raises(ConfigError, match=r"cutoff_hz is 1.0; choose one of 0.3, 0.6, 1.1"):
        SENSORS["ak9753"].make({"cutoff_hz": 1.0})


# The chip


def test_is_by_its_identity_neither_silent_nor_writable(bench):
    bench.say("00 ff ff ff ff ff ff ff")
    assert bench.say("00", 5) == bytes((0x48, 0x13, 0x01, 0, 0))


def test_unused_bits_read_as_one(bench):
    bench.say("1b 01")
    bench.say("1c 0c")
    assert bench.say("1b", 2) == b"\xe1\xcc"


def test_a_set_is_ready_once_and_then_only_after_another_measurement(bench):
    bench.say(FIVE_HERTZ)
    length = set_ms(bench, 144)
    bench.advance_ms(0.99 * length)
    assert bench.say("05", 12) == bytes(12)
    bench.advance_ms(0.02 * length)
    first = bench.say("05", 12)
    assert first[0] == READY
    again = bench.say("05", 12)
    assert again[0] == 0
    assert again[1:11] == first[1:11]
    bench.advance_ms(length)
    third = bench.say("05", 12)
    assert third[0] == READY
    assert third[1:11] != first[1:11]  # noise


def test_reading_the_status_alone_ends_nothing(bench):
    bench.say(FIVE_HERTZ)
    bench.advance_ms(200)
    assert bench.say("05", 1) == bench.say("05", 1) == b"\x01"


def test_a_set_is_held_from_its_first_byte_until_st2_is_read(bench):
    bench.say(FIVE_HERTZ)
    length = set_ms(bench, 144)
    bench.advance_ms(1.5 * length)
    low = bench.say("06", 2)
    bench.advance_ms(3 * length)
    assert bench.say("06", 2) == low
    held = bench.say("05", 11)
    bench.advance_ms(3 * length)
    assert bench.say("05", 11) == held
    bench.say("10", 1)
    status, *rest = bench.say("05", 12)
    assert status == READY | OVERRUN
    assert bytes(rest[:2]) != low


def test_overrun_tells_a_set_that_nobody_read(bench):
    bench.say(FIVE_HERTZ)
    length = set_ms(bench, 144)
    bench.advance_ms(1.5 * length)
    assert bench.say("05", 12)[0] == READY
    bench.advance_ms(2 * length)
    assert bench.say("05", 12)[0] == READY | OVERRUN
    bench.advance_ms(length)
    assert bench.say("05", 12)[0] == READY


@pytest.mark.parametrize(("mode", "sets"), [(0b100, 8), (0b101, 4), (0b110, 2), (0b111, 1)])
def test_modes_wait_as_long_as_nothing_one_three_and_seven_measurements(bench, mode, sets):
    bench.say(f"1c {2 << 3 | mode:02x}")
    length = set_ms(bench, 144)
    fresh = 0
    for _ in range(80):
        bench.advance_ms(length / 10)
        fresh += bench.say("05", 12)[0] & READY
    assert fresh == sets


def test_a_single_shot_measures_once_and_stands_by(bench):
    bench.say("1c 12")
    bench.advance_ms(200)
    assert bench.say("05", 12)[0] == READY
    assert bench.say("1c", 1)[0] & 7 == 0
    bench.advance_ms(2000)
    assert bench.say("05", 12)[0] == 0


@pytest.mark.parametrize("mode", ["00", "01", "03", "34"])
def test_nothing_is_measured_in_stand_by_or_with_a_code_that_does_not_exist(bench, mode):
    bench.say(f"1c {mode}")
    bench.advance_ms(3000)
    assert bench.say("05", 12) == bytes(12)


def test_the_reset_is_at_0x1d_and_what_sparkfun_resets_is_a_hysteresis(bench):
    bench.say(FIVE_HERTZ)
    bench.say("19 ff")
    assert bench.say("1c", 1) == b"\xd4"
    assert bench.say("19", 1) == b"\xff"
    bench.say("1d 01")
    assert bench.say("1c", 1) == b"\xc0"
    assert bench.say("19", 1) == b"\x00"


# Driver and chip


def test_keeps_the_bits_that_are_nobodys(bench):
    sent, link = [], bench.link
    bench.link = lambda t: sent.append(t) or link(t)
    bench.start()
    assert put(0x1C, 0xCC) in sent
    assert bench.say("1c", 1) == b"\xcc"


def test_an_ak9750_is_told_apart(bench):
    bench.chip.registers[2] = 0
    with pytest.raises(StartError, match="AK9750"):
        bench.start()


def test_refuses_a_chip_that_does_not_keep_its_mode(bench):
    link = bench.link
    bench.link = lambda t: b"\xc0" if t.register == 0x1C and t.read else link(t)
    with pytest.raises(StartError, match="did not take"):
        bench.start()


def test_returns_the_warmth_it_sees_at_2_hz(bench):
    bench.start()
    answers = [bench.read(500) for _ in range(120)]
    assert {(a.flag, len(transfers)) for a, transfers in answers} == {(Flag.FRESH, 1)}
    x = np.array([bench.si(a)[0] for a, _ in answers])
    assert x.mean(axis=0) == pytest.approx(WARM, abs=0.4)
    assert np.abs(x - WARM)[:, :4].max() < 5.0
    assert np.abs(x - WARM)[:, 4].max() < 0.3
    overrun = np.mean([a.counts[0][5] for a, _ in answers])
    assert overrun == pytest.approx(500 / set_ms(bench, 276) - 1, abs=0.03)  # of 1.8 sets in 500 ms one is read


def test_share_of_stale_readings_is_that_of_the_oscillators():
    bench = Bench("ak9753", WARM, options={"cutoff_hz": 0.3}, seed=4)
    bench.start()
    flags = Counter(bench.read(500)[0].flag for _ in range(600))
    assert flags[Flag.FRESH] == pytest.approx(600 * 500 / set_ms(bench, 576), abs=2)
    assert flags[Flag.STALE] == 600 - flags[Flag.FRESH]


def test_a_repeated_set_is_stale_and_costs_one_look_at_the_mode(bench):
    bench.start()
    first, _ = bench.read(500)
    again, transfers = bench.read(2)
    assert again.flag is Flag.STALE
    assert again.counts[0][:5] == first.counts[0][:5]
    assert [t.register for t in transfers] == [0x05, 0x1C]


def test_before_its_first_set_it_is_not_ready(bench):
    bench.chip.oscillator.run_at(0.0)
    bench.start()
    assert bench.read(500)[0].flag is Flag.NOT_READY


def test_a_silent_reset_is_seen_and_mended_by_a_start(bench):
    bench.start()
    bench.read(500)
    bench.chip.power_up()
    answer, _ = bench.read(500)
    assert (answer.flag, answer.counts, answer.restart) == (Flag.CORRUPT, None, True)
    bench.start()
    assert bench.read(500)[0].flag is Flag.FRESH
