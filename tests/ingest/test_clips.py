import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clips import TOLERANCE_NS, nearest_within, steps, windows
from ingest.targets import STEP_NS


@pytest.mark.parametrize(("fps", "every"), [(30, 5), (30000 / 1001, 5), (60000 / 1001, 10), (24, 4), (25, 4)])
def test_steps_are_the_same_frames_apart_for_ever(fps, every):
    times = np.rint(np.arange(int(600 * fps)) * 1e9 / fps).astype(np.int64)
    frame, run = steps(times)
    assert set(np.diff(frame)) == {every}
    assert not run.any()


@given(st.lists(st.integers(5, 400), min_size=2, max_size=300), st.integers(0, 5))
def test_steps_ascend_and_are_a_sixth_of_a_second_apart_within_a_run(gaps_ms, first):
    times = np.cumsum(gaps_ms) * 1_000_000
    frame, run = steps(times, first)
    assert (np.diff(frame) > 0).all()
    same = np.diff(run) == 0
    assert (np.abs(np.diff(times[frame])[same] - STEP_NS) <= TOLERANCE_NS).all()


def test_a_hole_begins_a_new_run_after_it():
    times = np.arange(120) * 1_000_000_000 // 30
    times = times[(times < 1_000_000_000) | (times > 2_000_000_000)]
    frame, run = steps(times)
    assert run.max() == 1
    assert (times[frame[run == 0]] < 1_000_000_000).all()
    assert times[frame[run == 1]][0] > 2_000_000_000


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 6), st.integers(1, 4), st.data())
def test_windows_are_those_that_a_plain_loop_finds(keys, length, stride, data):
    key = np.sort(np.array(keys, np.int64))
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys))), bool)
    expected = [
        i
        for i in range(len(key) - length + 1)
        if key[i] == key[i + length - 1]
        and wanted[i : i + length].any()
        and (i - int(np.searchsorted(key, key[i]))) % stride == 0
    ]
    assert windows(key, wanted, length, stride).tolist() == expected


@given(st.lists(st.integers(0, 1000), max_size=30), st.lists(st.integers(-100, 1100), max_size=20))
def test_nearest_within_reach(times, at):
    t = np.sort(np.array(times, np.int64))
    found = nearest_within(t, np.array(at, np.int64), 50)
    for index, moment in zip(found, at, strict=True):
        best = min((abs(x - moment) for x in times), default=51)
        assert (index == -1) == (best > 50)
        assert index == -1 or abs(t[index] - moment) == best
