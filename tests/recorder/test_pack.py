from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.clock import tick_ns
from firmware_host.sensors import SENSORS
from firmware_host.spec import COUNT_LIMIT, Channel, Flag, Reading, TrackSpec
from recorder.demux import read_rows
from recorder.mux import MatroskaWriter, RowTrack
from recorder.pack import SensorPacker, frame_row

T0 = 1_000_000_000_123
IMAGE = TrackSpec("image", (Channel("a", "1"), Channel("b", "1")), rows_per_tick=2)
VALUE = TrackSpec("value", (Channel("v", "m/s2"),))


def reading(tick: int, value: int, flag: Flag = Flag.FRESH, lateness_ns: int = 0) -> Reading:
    planned = tick_ns(T0, tick)
    counts = None if flag.missed else ((value, value + 1, value + 2, value + 3), (-value,))
    return Reading("s", tick, planned + lateness_ns + 500_000, planned, planned + lateness_ns, counts, flag)


def test_values_are_held_until_the_next_reading_and_the_timing_track_says_which_are_new():
    packer = SensorPacker("s", [IMAGE, VALUE], T0)
    packer.add(reading(1, 10, lateness_ns=2_000))
    packer.add(reading(3, 20))
    (image, value), timing = packer.rows_until(5)
    assert value[:, 0].tolist() == [0, -10, -10, -20, -20]
    assert image[2:4].tolist() == [[10, 11], [12, 13]]
    assert len(image) == 10
    assert timing[:, 2].tolist() == [Flag.HELD, Flag.FRESH, Flag.HELD, Flag.FRESH, Flag.HELD]
    assert timing[1].tolist() == [502, 2, Flag.FRESH]
    assert timing[0].tolist() == [0, 0, Flag.HELD]


@pytest.mark.parametrize("flag", [Flag.NACK, Flag.TIMEOUT, Flag.NOT_READY, Flag.LATE])
def test_a_missed_reading_keeps_the_value_and_shows_its_flag(flag: Flag):
    packer = SensorPacker("s", [IMAGE, VALUE], T0)
    packer.add(reading(0, 7))
    packer.add(reading(1, 0, flag))
    (_, value), timing = packer.rows_until(2)
    assert value[:, 0].tolist() == [-7, -7]
    assert timing[1, 2] == flag


def test_a_due_tick_without_a_reading_is_lost_and_any_other_is_held():
    packer = SensorPacker("s", [VALUE], T0, due=lambda k: k % 3 == 1)
    first = reading(1, 5)
    packer.add(Reading("s", 1, first.t_ns, first.planned_ns, first.start_ns, (first.counts[1],), Flag.FRESH))
    (value,), timing = packer.rows_until(6)
    assert timing[:, 2].tolist() == [Flag.HELD, Flag.FRESH, Flag.HELD, Flag.HELD, Flag.LOST, Flag.HELD]
    assert value[:, 0].tolist() == [0, -5, -5, -5, -5, -5]


def test_a_stall_of_ten_seconds_saturates_the_deviation_instead_of_raising():
    packer = SensorPacker("s", [IMAGE, VALUE], T0)
    packer.add(reading(0, 1, lateness_ns=10_000_000_000))
    _, timing = packer.rows_until(1)
    assert timing[0, 1] == COUNT_LIMIT - 1


@given(st.lists(st.integers(0, 200), unique=True, max_size=60), st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_rows_do_not_depend_on_how_they_are_asked_for(ticks: list[int], steps: list[int]):
    ends = np.minimum(np.cumsum(steps), 201)
    whole, stepwise = SensorPacker("s", [VALUE], T0), SensorPacker("s", [VALUE], T0)
    for k in ticks:
        r = reading(k, k + 1)
        for packer in (whole, stepwise):
            packer.add(Reading(r.sensor, r.tick, r.t_ns, r.planned_ns, r.start_ns, (r.counts[1],), r.flag))
    (expected,), timing = whole.rows_until(int(ends[-1]))
    parts = [stepwise.rows_until(int(e)) for e in ends]
    assert np.array_equal(np.concatenate([p[0][0] for p in parts]), expected)
    assert np.array_equal(np.concatenate([p[1] for p in parts]), timing)
    assert len(expected) == ends[-1]


@given(st.integers(0, 97 * 86_400 * 10**9))
def test_frame_times_survive_to_the_microsecond_for_weeks(since_first_ns: int):
    seconds, micro, flag = frame_row(since_first_ns)
    assert seconds * 1_000_000 + micro == since_first_ns // 1000
    assert max(seconds, micro) < COUNT_LIMIT
    assert flag == Flag.FRESH


@pytest.mark.parametrize("model", sorted(SENSORS))
def test_every_sensor_s_counts_come_back_from_its_file_bit_for_bit(model: str, tmp_path: Path):
    """Readings of the whole range that a count may have, every sixth tick, through packer, FLAC and Matroska."""
    random, tracks = np.random.default_rng(7), SENSORS[model].make({}).tracks
    packer = SensorPacker(model, tracks, T0)
    sent = {k: tuple(random.integers(-COUNT_LIMIT + 1, COUNT_LIMIT, t.width) for t in tracks) for k in range(0, 300, 6)}
    for tick, counts in sent.items():
        t_ns = tick_ns(T0, tick)
        told = tuple(tuple(c.tolist()) for c in counts)
        packer.add(Reading(model, tick, t_ns, t_ns, t_ns, told, Flag.FRESH))
    rows, timing = packer.rows_until(300)
    titles = [RowTrack(t.name, 60 * t.rows_per_tick, len(t.channels), {}) for t in tracks]
    writer = MatroskaWriter(tmp_path / "k.mkv", titles)
    for title, block in zip(titles, rows, strict=True):
        writer.rows(title.title, block)
    writer.close()
    found = read_rows(tmp_path / "k.mkv", [t.name for t in tracks])
    assert np.flatnonzero(timing[:, 2] == Flag.FRESH).tolist() == list(sent)
    for i, track in enumerate(tracks):
        by_tick = found[track.name].reshape(300, track.width)
        for tick, counts in sent.items():
            assert (by_tick[tick : tick + 6] == counts[i]).all()
