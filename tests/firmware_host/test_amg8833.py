"""AMG8833: known by its looks; the chip as a reader of the reference specification tries it; the two together."""

from __future__ import annotations

import numpy as np
import pytest
from chipbench import Bench, step_through

from firmware_host.clock import FakeClock
from firmware_host.driver import StartError
from firmware_host.errors import ConfigError
from firmware_host.sensors import SENSORS, amg8833
from firmware_host.spec import Flag

ROOM = np.array([*(20 + 0.1 * pixel for pixel in range(64)), 24.0])


@pytest.fixture
def bench():
    return Bench("amg8833", ROOM)


def clock_chip(seconds, minutes, hours, weekday, day, month, year=0x26, control=0x1C, status=0x08):
    """A DS3231: nineteen registers, over and over, in binary-coded decimal. Returns its link and what was written."""
    registers = bytearray((seconds, minutes, hours, weekday, day, month, year, 0, 0, 0, 0, 0, 0, 0, control, status))
    registers += bytes((0, 0x17, 0x40))
    written = []

    def link(t):
        if not t.read:
            written.append(t)
        return bytes(registers[(t.register + i) % 19] for i in range(t.read))

    return link, written


def start(link):
    return step_through(SENSORS["amg8833"].make({}).start(), link, FakeClock())


# Known by its looks


@pytest.mark.parametrize(
    "time",
    [
        (0x37, 0x45, 0x13, 6, 0x21, 0x11),
        (0x00, 0x00, 0x00, 1, 0x02, 0x01),  # the second in which its control registers look like ours
        (0x21, 0x15, 0x01, 2, 0x04, 0x12),
    ],
)
def test_a_clock_is_not_taken_for_a_grid_eye_and_is_not_written_to(time):
    link, written = clock_chip(*time)
    assert amg8833.thermistor(link(amg8833._HOUSING)) * 0.0625 == -1.75  # plausible by itself
    with pytest.raises(StartError, match="no Grid-EYE"):
        start(link)
    assert not written


def test_a_sleeping_motion_sensor_is_found_out_by_its_flat_image():
    """An MPU-6050 after its reset reads 0 nearly everywhere."""
    with pytest.raises(StartError, match="flat"):
        start(lambda t: bytes(t.read))


GOOD_CONTROL = bytes(14) + bytes((0x80, 0x01))  # 24 degC
GOOD_FRAME = bytes((80, 0, 84, 0)) * 32


@pytest.mark.parametrize(("register", "value"), [(0x00, 0x37), (0x02, 0x02), (0x03, 0x04), (0x04, 0x11), (0x0F, 0x06)])
def test_each_register_may_give_an_impostor_away(register, value):
    assert amg8833.plausible(GOOD_CONTROL, GOOD_FRAME)
    control = bytearray(GOOD_CONTROL)
    control[register] = value
    assert not amg8833.plausible(bytes(control), GOOD_FRAME)


@pytest.mark.parametrize("pixel", ["f501", "230f"])  # 125.25 and -55.25 degC
def test_a_pixel_beyond_belief_gives_an_impostor_away(pixel):
    assert not amg8833.plausible(GOOD_CONTROL, GOOD_FRAME[:-2] + bytes.fromhex(pixel))


def test_implausible_housing_is_refused():
    hot = Bench("amg8833", [*ROOM[:64], 95.0])
    hot.advance_ms(300)
    with pytest.raises(StartError, match="no Grid-EYE"):
        hot.start()


def test_starts_as_the_reference_says(bench):
    steps = bench.start()
    writes = [(t.register, *t.data) for s in steps for t in s.transfers if t.data]
    assert writes == [(0x00, 0x10), (0x00, 0x00), (0x01, 0x3F), (0x01, 0x30), (0x02, 0), (0x03, 0)]
    waits = [s.wait_ns for s in steps if s.wait_ns]
    assert waits == [50_000_000, 2_000_000, 200_000_000]


def test_settings_that_are_not_kept_are_refused(bench):
    real = bench.link
    bench.link = lambda t: b"\x01" + bytes(5) if t.register == 0x02 and t.read else real(t)
    with pytest.raises(StartError, match="does not keep its settings"):
        bench.start()


def test_options_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'moving_average'"):
        SENSORS["amg8833"].make({"moving_averages": True})


# Driver and chip


def test_moving_average_is_unlocked_kept_and_quieter():
    spread = []
    for on in (False, True):
        bench = Bench("amg8833", ROOM, options={"moving_average": on})
        bench.start()
        assert bench.sensor.settings == {"moving_average": on}
        images = [bench.si(bench.read(after_ms=101)[0]) for _ in range(100)]
        spread.append(np.std(images, axis=0).mean())
    assert spread[0] == pytest.approx(np.hypot(0.16, 0.25 / 12**0.5), rel=0.1)
    assert spread[1] == pytest.approx(np.hypot(0.16 / 2**0.5, 0.25 / 12**0.5), rel=0.1)


def test_a_slow_oscillator_meets_repeated_frames_as_often_as_arithmetic_says():
    for seed in range(3):
        bench = Bench("amg8833", ROOM, seed=seed)
        bench.start()
        flags = [bench.read(after_ms=100)[0].flag for _ in range(3000)]
        frame_ms = 100.4 / bench.chip.oscillator._nominal
        assert flags.count(Flag.STALE) == pytest.approx(3000 * (1 - 100 / frame_ms), abs=1.5)
        assert set(flags) == {Flag.FRESH, Flag.STALE}


def test_frozen_frames_are_stale(bench):
    bench.start()
    bench.read(after_ms=100)
    bench.chip.oscillator.run_at(0)
    assert [bench.read(after_ms=100)[0].flag for _ in range(5)] == [Flag.STALE] * 5


# The chip


def test_one_transfer_is_one_moment_and_many_small_ones_are_not():
    """The whole image rises by 10 degC a frame; read pixel by pixel it may hold two of them."""
    bench = Bench("amg8833", lambda t_ns: np.array([(t_ns - 10**12) / 1e8 * 10 % 60 + 10] * 64 + [24.0]))
    bench.advance_ms(300)
    torn = 0
    for _ in range(40):
        rows = []
        for i in range(64):
            rows.append(int.from_bytes(bench.say(f"{0x80 + 2 * i:02x}", 2), "little") / 4)
            bench.advance_ms(0.5)
        torn += np.ptp(rows) > 5
        whole = np.frombuffer(bench.say("80", 128), "<u2") / 4
        assert np.ptp(whole) < 3
    assert 5 < torn < 35


def test_sleep_stops_the_frames_and_waking_takes_two(bench):
    bench.advance_ms(500)
    before = bench.say("80", 128)
    bench.say("00 10")
    bench.advance_ms(1000)
    assert bench.say("80", 128) == before
    bench.say("00 00")
    bench.advance_ms(150)
    assert bench.say("80", 128) == before
    bench.advance_ms(60)
    assert bench.say("80", 128) != before


def test_average_needs_its_keys_in_order(bench):
    bench.say("07 20")
    assert bench.say("07", 1) == b"\0"
    for message in ("1f 50", "1f 57", "1f 45", "07 20"):
        bench.say(message)
    assert bench.say("07", 1) == b"\0"
    for message in ("1f 00", "1f 50", "1f 45", "1f 57", "07 20", "1f 00"):
        bench.say(message)
    assert bench.say("07", 1) == b"\x20"
    bench.say("01 3f")
    assert bench.say("07", 1) == b"\0"


def test_one_frame_a_second_is_quieter(bench):
    bench.say("02 01")
    bench.advance_ms(2100)
    first = bench.say("80", 128)
    bench.advance_ms(500)
    assert bench.say("80", 128) == first
    bench.advance_ms(510)
    second = bench.say("80", 128)
    assert second != first
    error = np.frombuffer(second, "<u2") / 4 - ROOM[:64]
    assert error.std() < 0.13


def test_pixels_and_thermistor_cannot_be_written(bench):
    bench.advance_ms(300)
    before = bench.say("80", 4)
    bench.say("80 ff ff")
    bench.say("0e 00 00")
    assert bench.say("80", 4) == before
    assert amg8833.thermistor(bench.say("0e", 2)) == 24 * 16
