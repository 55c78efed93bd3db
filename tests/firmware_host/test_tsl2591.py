"""TSL2591: lux from its counts, the chip as a reader of the datasheet would try it, and the two together."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from chipbench import Bench
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.driver import StartError
from firmware_host.errors import ConfigError
from firmware_host.ports import BusFault
from firmware_host.sensors import SENSORS, tsl2591
from firmware_host.sensors.tsl2591 import GAINS, better_gain, full_scale
from firmware_host.spec import Flag

LAMP = (300.0, 0.2)
RUN = "a0 13"
VALID, ENDED = 0x01, 0x10


@pytest.fixture
def bench():
    return Bench("tsl2591", LAMP)


def si(*counts):
    return tsl2591.to_si("light", np.array([counts]), {})[0]


# Golden values: the formula of Adafruit_TSL2591.cpp (a857bf9) and of Linux tsl2591.c, worked by hand:
# CPL = ms * gain / 408; lux = (C0 - C1) * (1 - C1 / C0) / CPL.


@pytest.mark.parametrize(
    ("full", "infrared", "gain", "integration", "lux"),
    [
        (1000, 0, 1, 0, 1000 * 408 / 2500),  # no infrared: nothing but the divisor
        (1000, 500, 1, 0, 40.8),  # half infrared: a quarter of that
        (8000, 2000, 0, 1, 6000 * 0.75 * 408 / 200),
        (40_000, 10_000, 3, 5, 30_000 * 0.75 * 408 / (600 * 9876)),
    ],
)
def test_lux_is_that_of_the_arduino_library(full, infrared, gain, integration, lux):
    assert si(full, infrared, gain, integration) == pytest.approx([lux, infrared / full], rel=1e-6)


def test_darkness_is_no_light_and_no_division():
    """C0 = 0 divides by zero in the Linux driver; C1 > C0 is noise, which the formula would square into light."""
    lux, share = si(0, 0, 3, 1)
    assert lux == 0
    assert np.isnan(share)
    assert si(2, 5, 3, 1)[0] == 0


@pytest.mark.parametrize(("integration", "limit"), [(0, 36_863), (1, 65_535), (5, 65_535)])
def test_a_saturated_count_is_not_a_number(integration, limit):
    assert np.isnan(si(limit, 100, 0, integration)).all()
    assert np.isnan(si(limit - 1, limit, 0, integration)).all()
    assert np.isfinite(si(limit - 1, 100, 0, integration)).all()


def test_each_row_is_converted_by_its_own_settings():
    rows = np.array([[1000, 200, code, time] for code in range(4) for time in range(6)])
    together = tsl2591.to_si("light", rows, {})
    assert np.array_equal(together, np.array([si(*row) for row in rows]))
    assert together[0, 0] / together[-1, 0] == pytest.approx(6 * 9876, rel=1e-5)


# Options, and the choice of gain


@pytest.mark.parametrize("options", [{"gain": 16}, {"integration_ms": 150}, {"integration_ms": 700}])
def test_settings_that_the_chip_has_not_are_refused_with_those_it_has(options):
    with pytest.raises(ConfigError, match=f"tsl2591: {next(iter(options))} is .*choose one of 1"):
        SENSORS["tsl2591"].make(options)


def test_a_cycle_and_a_slot_fit_between_readings():
    assert Bench("tsl2591", LAMP, options={"integration_ms": 400}).sensor.shortest_period_ns < 500_000_000
    assert Bench("tsl2591", LAMP, options={"integration_ms": 500}).sensor.shortest_period_ns > 500_000_000


@given(st.floats(0.001, 80_000), st.integers(0, 3), st.integers(0, 5))
def test_the_gain_settles_whatever_the_light_and_then_stays(rate, gain, integration):
    """`rate`: counts per 100 ms at gain 1."""
    limit, seen = int(full_scale(integration)), []
    for _ in range(5):
        full = min(round(rate * (integration + 1) * GAINS[gain]), limit)
        seen.append(gain)
        gain = better_gain(full, 0, gain, integration)
    assert seen[3] == seen[4] == gain  # at most three changes: down to the lowest and up again, or by one
    assert full < limit or gain == 0
    assert full > 0.02 * limit or gain == 3


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ((65_535, 100, 3, 1), 0),  # saturated: from the lowest on
        ((100, 65_535, 2, 1), 0),  # by infrared as well
        ((36_863, 100, 2, 0), 0),  # which at 100 ms comes sooner
        ((36_863, 100, 2, 1), 2),
        ((53_000, 100, 2, 1), 1),  # above 80 %: one down
        ((52_000, 100, 2, 1), 2),
        ((53_000, 100, 0, 1), 0),
        ((1900, 100, 1, 1), 2),  # 32,500 at the next: one up
        ((1950, 100, 1, 1), 1),  # 33,400 would be above half
        ((3, 1, 0, 1), 3),  # as far as there is room
        ((0, 0, 3, 1), 3),
    ],
)
def test_the_gain_to_go_on_with(counts, wanted):
    assert better_gain(*counts) == wanted


@pytest.mark.parametrize("swing", [0.7, 0.8, 1.25, 1.4])
def test_light_that_flickers_about_a_limit_does_not_make_the_gain_flicker(swing):
    """Bright and dim by turns, wherever in five decades: changes end."""
    for rate in np.geomspace(0.1, 20_000, 500):
        gain, changes = 1, 0
        for k in range(20):
            full = min(round(rate * 2 * GAINS[gain] * (swing if k % 2 else 1)), 65_535)
            wanted = better_gain(full, 0, gain, 1)
            changes += k > 8 and wanted != gain
            gain = wanted
        assert changes == 0, rate


# The chip, as a sceptical reader of the datasheet would try it


def test_answers_only_to_commands_and_tells_who_it_is(bench):
    assert bench.say("b2", 1) == b"\x50"
    assert bench.say("b1", 1)[0] & 0x30 == 0
    assert bench.say("b1", 2)[1] == 0x50  # counts up
    bench.say("01 10")  # without the command bit: not for us
    assert bench.say("a1", 1) == b"\x00"


def test_identity_and_data_registers_cannot_be_written(bench):
    for message in ("b2 00", "b3 ff", "b4 ff"):
        bench.say(message)
    assert bench.say("b2", 4) == bytes((0x50, 0, 0, 0))


def test_integrates_only_with_power_and_enable_and_is_valid_after_one_cycle(bench):
    bench.say("a1 11")
    for enable in ("a0 01", "a0 02"):
        bench.say(enable)
        bench.advance_ms(500)
        assert bench.say("b3", 5) == bytes(5)
    bench.say(RUN)
    bench.advance_ms(189)
    assert bench.say("b3", 1) == b"\x00"
    bench.advance_ms(22)  # within 5 % of 200 ms
    status, *data = bench.say("b3", 5)
    assert status == VALID | ENDED
    assert any(data)


def test_the_interrupt_says_each_cycle_once_and_valid_stays(bench):
    bench.say("a1 10")
    bench.say(RUN)
    bench.advance_ms(110)
    assert bench.say("b3", 1)[0] == VALID | ENDED
    assert bench.say("b3", 1)[0] == VALID | ENDED  # reading clears nothing
    bench.say("e7")
    assert bench.say("b3", 1)[0] == VALID
    bench.advance_ms(110)
    assert bench.say("b3", 1)[0] == VALID | ENDED
    bench.say("e6")
    bench.say("e4")
    assert bench.say("b3", 1)[0] & ENDED  # forced


def test_persistence_waits_for_as_many_cycles_outside_the_thresholds(bench):
    bench.say("a4 00 00 ff ff")  # all there can be is inside
    bench.say("ac 03")
    bench.say("a1 10")
    bench.say(RUN)
    bench.advance_ms(1100)
    assert not bench.say("b3", 1)[0] & ENDED
    bench.say("a4 00 00 01 00")  # nothing is
    bench.advance_ms(200)
    assert not bench.say("b3", 1)[0] & ENDED
    bench.advance_ms(220)
    assert bench.say("b3", 1)[0] & ENDED


def test_reset_is_not_acknowledged_and_forgets_everything(bench):
    bench.say("a1 11")
    bench.say(RUN)
    with pytest.raises(BusFault) as fault:
        bench.say("a1 80")
    assert fault.value.flag is Flag.NACK
    assert bench.say("a0", 2) == b"\x00\x00"


def test_counts_follow_gain_and_time_until_they_are_full():
    dim = Bench("tsl2591", (2.0, 0.2))
    seen = {}
    for gain in range(4):
        for time in (0, 5):
            dim.say("a0 00")
            dim.say(f"a1 {gain << 4 | time:02x}")
            dim.say(RUN)
            dim.advance_ms(660)
            seen[gain, time] = int.from_bytes(dim.say("b4", 2), "little")
    assert seen[2, 5] / seen[2, 0] == pytest.approx(6, rel=0.03)
    assert seen[2, 5] / seen[1, 5] == pytest.approx(428 / 25, rel=0.03)
    full = Bench("tsl2591", (2e5, 0.2))
    for control, limit in (("30", 36_863), ("31", 65_535)):
        full.say("a0 00")
        full.say(f"a1 {control}")
        full.say(RUN)
        full.advance_ms(250)
        assert int.from_bytes(full.say("b4", 2), "little") == limit


def test_a_gain_change_spoils_the_cycle_in_which_it_comes(bench):
    bench.say("a1 00")
    bench.say(RUN)
    length_ns = bench.chip.oscillator.kit_ns(bench.chip.oscillator.now_ns() + 100_000_000) - bench.clock.now_ns()
    bench.clock.advance_ns(3 * length_ns + length_ns // 2)
    bench.say("a1 10")
    counts = []
    for _ in range(3):
        counts.append(int.from_bytes(bench.say("b4", 2), "little"))
        bench.clock.advance_ns(length_ns)
    assert counts[1] / counts[0] == pytest.approx(13, rel=0.1)  # half of it at 1, half at 25
    assert counts[2] / counts[0] == pytest.approx(25, rel=0.1)


def test_noise_depends_on_the_seed_and_the_cycle_alone():
    def told(seed, rests_ms):
        b, seen = Bench("tsl2591", LAMP, seed=seed), []
        b.chip.oscillator.run_at(1.0)
        b.say("a1 10")
        b.say(RUN)
        for ms in rests_ms:
            b.advance_ms(ms)
            seen.append(b.say("b4", 4))
        return seen[-1]

    assert told(5, [1000, 1050]) == told(5, [500, 500, 500, 550])
    assert told(5, [2050]) != told(5, [2250])
    assert told(5, [2050]) != told(6, [2050])


# Driver and chip


def test_starts_from_reset_and_keeps_its_settings(bench):
    bench.say("a0 93")  # somebody else's settings
    bench.start()
    assert bench.say("a0", 2) == b"\x13\x11"
    assert bench.say("ac", 1) == b"\x00"
    assert bench.sensor.settings == {"gain": 25, "auto_gain": True, "integration_ms": 200}


def test_refuses_a_chip_that_forgets_what_it_was_told(bench):
    link = bench.link
    bench.link = lambda t: b"\x13\x00" if t.register == 0xA0 and t.read == 2 else link(t)
    with pytest.raises(StartError, match="did not take"):
        bench.start()


def test_returns_the_light_it_is_in_at_2_hz(bench):
    bench.start()
    answers = [bench.read(500)[0] for _ in range(120)]
    assert {a.flag for a in answers} == {Flag.FRESH}
    x = np.array([bench.si(a)[0] for a in answers])
    assert x.mean(axis=0) == pytest.approx(LAMP, rel=2e-3)
    assert np.abs(x / LAMP - 1).max() < 0.03  # five times its noise


def test_a_reading_before_the_cycle_has_ended_is_stale_and_the_same(bench):
    bench.start()
    first, _ = bench.read(500)
    again, transfers = bench.read(2)
    assert (first.flag, again.flag) == (Flag.FRESH, Flag.STALE)
    assert again.counts == first.counts
    assert len(transfers) == 2  # nothing to clear


def test_share_of_stale_readings_is_that_of_the_oscillators():
    """600 ms of its own time, read every 500: of 6 readings about 5 are new."""
    bench = Bench("tsl2591", LAMP, options={"integration_ms": 600}, seed=3)
    bench.start()
    flags = Counter(bench.read(500)[0].flag for _ in range(600))
    cycle_ms = (bench.chip.oscillator.kit_ns(10**9) - bench.chip.oscillator.kit_ns(0)) * 600e-9
    assert flags[Flag.FRESH] == pytest.approx(600 * 500 / cycle_ms, abs=2)
    assert flags[Flag.STALE] == 600 - flags[Flag.FRESH]


def test_gain_follows_the_light_over_five_decades_and_every_row_says_its_own():
    decades = [0.05, 0.5, 5.0, 50.0, 500.0, 5000.0, 500.0, 50.0, 5.0, 0.5, 0.05]
    bench = Bench("tsl2591", lambda t_ns: np.array([decades[min(int((t_ns - 10**12) / 10e9), 10)], 0.2]))
    bench.start()
    rows, flags = {lux: [] for lux in decades}, Counter()
    for _ in range(219):
        answer, transfers = bench.read(500)
        assert len(transfers) <= 4
        flags[answer.flag] += 1
        into_ns = bench.clock.now_ns() - 10**12
        if answer.flag is Flag.FRESH and into_ns % int(10e9) > 4e9:
            rows[decades[min(int(into_ns / 10e9), 10)]].append(answer.counts[0])
    for lux, counts in rows.items():
        x = tsl2591.to_si("light", np.array(counts), {})
        assert len(counts) >= 11
        assert x[:, 0].mean() == pytest.approx(lux, rel=0.01)
    gains = {lux: {c[2] for c in counts} for lux, counts in rows.items()}
    assert gains[0.05] == {3}
    assert gains[5000.0] == {0}
    assert flags[Flag.NOT_READY] == pytest.approx(8, abs=4)  # one for each change, and few changes
    assert flags[Flag.CORRUPT] == 0


def test_no_row_is_ever_converted_at_another_gain_than_its_own():
    """While light steps and gain changes, every fresh row is the light of its cycle, the first after a change too."""

    def light(t_ns):
        return np.array([2.0 if (t_ns // 10**10) % 2 else 2000.0, 0.2])

    bench = Bench("tsl2591", light)
    bench.start()
    for _ in range(400):
        answer, _ = bench.read(500)
        if answer.flag is not Flag.FRESH or np.isnan(bench.si(answer)[0, 0]):
            continue
        now = bench.clock.now_ns()
        felt = {float(light(now - ms * 10**6)[0]) for ms in (30, 420)}
        if len(felt) == 1:
            a_count = 408 / 200 / GAINS[answer.counts[0][2]] / 0.64
            assert bench.si(answer)[0, 0] == pytest.approx(felt.pop(), rel=0.05, abs=3 * a_count)


def test_a_fixed_gain_stays_and_saturates():
    bench = Bench("tsl2591", (50_000.0, 0.2), options={"auto_gain": False, "gain": 428})
    bench.start()
    answers = [bench.read(500)[0] for _ in range(5)]
    assert {a.counts[0] for a in answers} == {(65_535, 65_535, 2, 1)}
    assert np.isnan(bench.si(answers[0])).all()


def test_a_silent_reset_is_seen_in_the_reading_and_mended_by_a_start(bench):
    bench.start()
    bench.read(500)
    bench.chip.power_up()
    answer, _ = bench.read(500)
    assert (answer.flag, answer.counts, answer.restart) == (Flag.CORRUPT, None, True)
    bench.start()
    assert bench.read(500)[0].flag is Flag.FRESH


def test_a_restart_begins_with_the_first_gain_again():
    bench = Bench("tsl2591", (0.05, 0.2))
    bench.start()
    for _ in range(10):
        bench.read(500)
    assert bench.say("a1", 1) == b"\x31"
    bench.chip.power_up()
    bench.start()
    answer, _ = bench.read(500)
    assert (answer.flag, answer.counts[0][2]) == (Flag.FRESH, 1)
