"""MLX90393: the driver's bytes, the chip as a reader of the datasheet would try it, and the two together."""

from __future__ import annotations

import numpy as np
import pytest
from chipbench import Bench

from firmware_host.driver import StartError
from firmware_host.errors import ConfigError
from firmware_host.sensors import SENSORS, mlx90393
from firmware_host.simulate.mlx90393 import Mlx90393Chip
from firmware_host.spec import Flag

ROOM = (20.0, -5.0, -44.0, 25.0)
ERROR, RESET, MEASURING = 0x10, 0x04, 0x20


@pytest.fixture
def bench():
    return Bench("mlx90393", ROOM)


def si(counts, **settings):
    return mlx90393.to_si("raw", np.array([counts]), {"gain_sel": 7, "res": 0, "hallconf": 12, **settings})[0]


# Golden values. Sensitivities: table of Adafruit's drivers (2.4.2), HALLCONF 0xC. Temperature: Rev002, T25 and 45.2.


@pytest.mark.parametrize(
    ("gain_sel", "res", "xy", "z"),
    [(7, 0, 0.150, 0.242), (0, 0, 0.751, 1.210), (1, 0, 0.601, 0.968), (5, 1, 0.501, 0.807), (6, 0, 0.200, 0.323)],
)
def test_sensitivity_follows_the_published_table(gain_sel, res, xy, z):
    x = si((46244, 1000, -1000, 1000), gain_sel=gain_sel, res=res)
    assert x[:3] == pytest.approx([1000 * xy, -1000 * xy, 1000 * z], rel=0.003)


def test_offset_formats_of_the_coarse_resolutions():
    """No field is 0x8000 at RES 2 and 0x4000 at RES 3; counts are the same 16 bits read as signed."""
    assert si((46244, -0x8000, -0x8000 + 10, 0x7FFF), res=2)[:3] == pytest.approx([0, 6.0, -0.968])
    assert si((46244, 0x4000, 0x4000 - 10, -0x8000), res=3)[:3] == pytest.approx([0, -12.0, 0x4000 * 1.936])


def test_temperature_is_25_degrees_at_the_datasheet_count():
    assert si((46244, 0, 0, 0))[3] == 25
    assert si((46244 + 452, 0, 0, 0))[3] == pytest.approx(35)


def test_result_is_most_significant_byte_first_in_the_order_t_x_y_z():
    assert mlx90393.decode(bytes.fromhex("03 b4a4 0001 fffe 7fff")) == (46244, 1, -2, 32767)


# Options


@pytest.mark.parametrize(("dig_filt", "osr", "ms"), [(0, 0, 1.27), (5, 2, 26.80), (6, 1, 26.04), (7, 3, 200.37)])
def test_measuring_time_agrees_with_the_table_for_three_axes(dig_filt, osr, ms):
    """Adafruit's table is without temperature (0.26 ms) and with a shorter way out of stand-by."""
    assert mlx90393.measuring_ns(dig_filt, osr, 0) / 1e6 - 0.259 == pytest.approx(ms, abs=0.15)


def test_default_settings_reach_10_hz_and_the_libraries_do_not():
    assert SENSORS["mlx90393"].make({}).shortest_period_ns < 50_000_000
    assert SENSORS["mlx90393"].make({"dig_filt": 7, "osr": 3}).shortest_period_ns > 200_000_000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gain_sel": 8}, "gain_sel is 8; choose 0 to 7"),
        ({"osr": -1}, "osr is -1; choose 0 to 3"),
        ({"dig_filt": 0, "osr": 0}, "gives no valid data; raise either"),
        ({"dig_filt": 1, "osr": 0}, "gives no valid data"),
        ({"dig_filt": 0, "osr": 1}, "gives no valid data"),
        ({"gain": 3}, "did you mean 'gain_sel'"),
        ({"res": True}, "give a value like"),
    ],
)
def test_options_that_cannot_work_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SENSORS["mlx90393"].make(options)


# The chip, as a reader of the datasheet would try it


def test_a_reset_shows_once(bench):
    assert bench.say("00", 1)[0] & RESET
    assert not bench.say("00", 1)[0] & RESET
    bench.say("f0")
    assert not bench.chip.acknowledges()
    bench.advance_ms(1.7)
    assert bench.chip.acknowledges()
    assert bench.say("80", 1)[0] & RESET


@pytest.mark.parametrize("message", ["90", "a0", "b0", "c0", "50", "60 00 00", "60 00 00 fc"])
def test_nonsense_is_acknowledged_and_only_the_status_tells(bench, message):
    bench.say("00", 1)
    assert bench.say(message, 1)[0] & ERROR
    assert not bench.say("00", 1)[0] & ERROR


def test_registers_are_written_read_stored_and_recalled(bench):
    assert bench.say("50 00", 3)[1:] == bytes.fromhex("407c")
    bench.say("60 12 34 08", 1)
    assert bench.say("50 08", 3) == bytes.fromhex("00 1234")  # D says two bytes
    bench.say("d0", 1)  # HR
    assert bench.say("50 08", 3)[1:] == b"\0\0"
    bench.say("60 00 19 08", 1)
    bench.say("e0", 1)  # HS
    bench.say("f0")
    bench.advance_ms(2)
    assert bench.say("50 08", 3)[1:] == bytes.fromhex("0019")


def test_reading_too_early_or_twice_is_an_error(bench):
    bench.say("60 00 19 08", 1)
    assert bench.say("3f", 1)[0] & (MEASURING | ERROR) == MEASURING
    bench.advance_ms(23)
    assert bench.say("4f", 9)[0] & (MEASURING | ERROR) == MEASURING | ERROR
    bench.advance_ms(7)
    assert bench.say("4f", 9)[0] == 0x03
    assert bench.say("4f", 9)[0] & (MEASURING | ERROR) == ERROR


def test_a_measurement_takes_as_long_as_its_settings_and_its_oscillator_say(bench):
    """0.518 ms, 0.259 for the temperature, 67 us + 64 us * 2^OSR * (2 + 2^DIG_FILT) an axis: 26.3 ms."""
    bench.say("60 00 19 08", 1)
    bench.say("3f", 1)
    begin = bench.clock.now_ns()
    while bench.say("00", 1)[0] & MEASURING:
        bench.clock.advance_ns(10_000)
    skew = bench.chip.oscillator._nominal
    assert (bench.clock.now_ns() - begin) * skew == pytest.approx(26_322_000, abs=20_000)
    assert skew != 1


@pytest.mark.parametrize(("axes", "length"), [("1", 2), ("2", 2), ("6", 4), ("e", 6), ("f", 8)])
def test_only_what_was_asked_for_is_sent_and_its_length_told(bench, axes, length):
    bench.say("60 00 19 08", 1)
    bench.say("3" + axes, 1)
    bench.advance_ms(40)
    reply = bench.say("4" + axes, 1 + length)
    assert 2 * (reply[0] & 3) + 2 == length
    words = np.frombuffer(reply[1:], ">i2")
    expected = [46244 - 65536, 20 / 0.150, -5 / 0.150, -44 / 0.242]
    wanted = [expected[i] for i in range(4) if int(axes, 16) >> i & 1]
    assert words == pytest.approx(wanted, abs=20)


def test_axes_are_measured_one_after_the_other():
    """In a field that grows by 1 uT a millisecond, y is one conversion (8.5 ms) older than z and younger than x."""
    ramp = lambda t_ns: np.array([*[(t_ns - 10**12) / 1e6] * 3, 25.0])  # noqa: E731
    bench = Bench("mlx90393", ramp, seed=5)
    bench.start()
    answer, _ = bench.read(after_ms=100)
    x, y, z, _ = bench.si(answer)[0]
    assert (y - x, z - y) == (pytest.approx(8.5, abs=2.5), pytest.approx(8.5, abs=2.5))


def test_first_order_after_a_reset_needs_its_status_read(bench):
    bench.say("60 00 19 08", 1)
    bench.say("3f")  # status not read
    bench.advance_ms(40)
    assert bench.say("4f", 9)[1:] == bytes(8)
    bench.say("3f")  # from the second on it need not be
    bench.advance_ms(40)
    assert bench.say("4f", 9)[1:] != bytes(8)


def test_burst_repeats_and_is_left_by_exit_alone(bench):
    bench.say("60 00 19 08", 1)
    bench.say("60 03 02 04", 1)  # register 1: BURST_SEL 0xC (y, z), BURST_DATA_RATE 2: 40 ms between
    assert bench.say("10", 1)[0] & 0x80
    assert bench.say("3f", 1)[0] & (0x80 | ERROR) == 0x80 | ERROR
    fresh = 0
    for _ in range(300):
        bench.advance_ms(5)
        reply = bench.say("40", 5)
        fresh += not reply[0] & ERROR
    assert fresh == pytest.approx(1500 / 57.7, rel=0.15)
    assert not bench.say("80", 1)[0] & (0x80 | ERROR)


def test_wake_on_change_is_ready_only_after_a_change():
    field = [20.0, 0.0, 0.0, 25.0]
    bench = Bench("mlx90393", lambda t_ns: np.array(field))  # noqa: ARG005
    for register in ("1c", "20"):
        bench.say("60 00 40 " + register, 1)
    bench.say("60 00 19 08", 1)
    assert bench.say("2e", 1)[0] & 0x40
    for _ in range(5):
        bench.advance_ms(40)
        assert bench.say("4e", 7)[0] & ERROR
    field[0] = 60.0
    bench.advance_ms(40)
    assert not bench.say("4e", 7)[0] & ERROR


def test_memory_errors_are_told(bench):
    bench.chip.memory_errors = 1
    assert bench.say("00", 1)[0] & (0x08 | ERROR) == 0x08
    bench.chip.memory_errors = 2
    assert bench.say("50 00", 3)[0] & ERROR


# Driver and chip


def test_minutes_of_readings_are_the_field_within_the_noise():
    """One reading a period, of the order before; none missed, whatever the oscillator."""
    turning = lambda t_ns: np.array([20 * np.cos(t_ns / 3e9), 20 * np.sin(t_ns / 3e9), -44, 23.0])  # noqa: E731
    for seed in range(3):
        bench = Bench("mlx90393", turning, seed=seed)
        bench.start()
        errors = []
        for _ in range(600):
            ordered_ns = bench.clock.now_ns()
            answer, transfers = bench.read(after_ms=100)
            assert answer.flag is Flag.FRESH
            assert [t.register for t in transfers] == [0x4F, 0x3F]
            errors.append(bench.si(answer)[0] - turning(ordered_ns + 13_000_000))
        assert np.abs(np.mean(errors, axis=0))[:3].max() < 0.1
        assert 0.3 < np.std(errors, axis=0)[:3].max() < 0.8
        assert np.abs(np.array(errors)[:, 3]).max() < 0.02


@pytest.mark.parametrize("options", [{"gain_sel": 2, "res": 1}, {"res": 2}, {"res": 3, "osr2": 3}, {"gain_sel": 0}])
def test_every_format_gives_the_same_field(options):
    bench = Bench("mlx90393", ROOM, options=options)
    bench.start()
    answer, _ = bench.read(after_ms=100)
    assert bench.si(answer)[0] == pytest.approx(ROOM, abs=3)
    assert bench.sensor.settings == {
        **{"gain_sel": 7, "res": 0, "dig_filt": 6, "osr": 1, "osr2": 0, **options},
        "hallconf": 12,
    }


def test_too_early_is_not_ready_and_orders_nothing(bench):
    bench.start()
    answer, transfers = bench.read(after_ms=10)
    assert (answer.flag, len(transfers)) == (Flag.NOT_READY, 1)
    answer, transfers = bench.read(after_ms=90)
    assert (answer.flag, len(transfers)) == (Flag.FRESH, 2)


def test_an_order_that_was_lost_is_given_again(bench):
    bench.start()
    bench.read(after_ms=100)
    bench.say("80", 1)  # somebody made it leave the measurement
    answer, transfers = bench.read(after_ms=100)
    assert (answer.flag, answer.restart, len(transfers)) == (Flag.NOT_READY, False, 2)
    assert bench.read(after_ms=100)[0].flag is Flag.FRESH


def test_a_silent_reset_asks_for_a_restart(bench):
    bench.start()
    bench.read(after_ms=100)
    bench.chip.power_up()
    answer, _ = bench.read(after_ms=100)
    assert (answer.flag, answer.restart) == (Flag.CORRUPT, True)
    bench.start()
    assert bench.read(after_ms=100)[0].flag is Flag.FRESH


def test_configuration_leaves_foreign_bits_alone():
    class Custom(Mlx90393Chip):
        _memory = bytes.fromhex("c27c 7bbf e000") + Mlx90393Chip._memory[6:]

    bench = Bench("mlx90393", ROOM, chip=Custom)
    bench.start()
    assert [bench.chip.register(n) for n in range(3)] == [0xC27C & ~0x1FF | 0x7C, 0x7BBF & ~0xC00, 0xE019]


def test_start_leaves_a_burst_and_then_knows_the_chip_by_its_reset():
    bench = Bench("mlx90393", ROOM)
    bench.say("10", 1)
    bench.say("1f", 1)
    bench.start()
    assert bench.read(after_ms=100)[0].flag is Flag.FRESH


def test_a_chip_that_never_reset_is_no_mlx90393():
    """An AK09916 also sits at 0x0C; it answers register contents."""
    bench = Bench("mlx90393", ROOM)
    bench.link = lambda t: b"\x48" * t.read
    with pytest.raises(StartError, match="no MLX90393: its status is 0x48"):
        bench.start()


def test_a_chip_that_does_not_keep_what_is_written_is_refused():
    bench = Bench("mlx90393", ROOM)
    real = bench.link
    bench.link = lambda t: b"\x03" if t.register == 0x60 else real(t)
    with pytest.raises(StartError, match="did not take its configuration"):
        bench.start()
