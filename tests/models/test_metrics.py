"""Measures by hand, and intervals that behave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import metrics
from models.metrics import Trivial, Truth

GROUPS = ("a", "b")


def truth_of(move, valid=None, gaze=None, gaze_valid=None, session=None):
    move = np.asarray(move, np.float32)  # (N, T, G)
    n, t, _ = move.shape
    return Truth(
        move,
        np.ones(move.shape, bool) if valid is None else np.asarray(valid, bool),
        np.full((n, t, 2), 0.5, np.float32) if gaze is None else np.asarray(gaze, np.float32),
        np.ones((n, t), bool) if gaze_valid is None else np.asarray(gaze_valid, bool),
        np.array(["s"] * n if session is None else session),
    )


def test_accuracy_by_hand():
    truth = truth_of([[[1, 0], [1, 0], [0, 0], [1, 1]]], valid=[[[1, 1], [1, 1], [1, 1], [0, 1]]])
    moving = np.array([[[1, 0], [0, 1], [0, 0], [0, 1]]], bool)
    values = metrics.movement_measures(metrics.movement_sums(moving, truth).sum(0), GROUPS)
    assert values["move_accuracy_a"] == pytest.approx(2 / 3)  # the fourth frame has no label
    assert values["move_accuracy_b"] == pytest.approx(3 / 4)
    assert values["move_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert values["move_balanced_accuracy_a"] == pytest.approx((1 / 2 + 1) / 2)
    assert values["move_balanced_accuracy_b"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_group_without_labels_is_left_out_of_the_mean():
    truth = truth_of([[[1, 1], [0, 1]]], valid=[[[1, 0], [1, 0]]])
    values = metrics.movement_measures(metrics.movement_sums(np.ones((1, 2, 2), bool), truth).sum(0), GROUPS)
    assert np.isnan(values["move_accuracy_b"])
    assert values["move_accuracy"] == 0.5


def test_trivial_takes_majority_of_valid_labels_and_mean_of_valid_gaze():
    truth = truth_of(
        [[[1, 1], [1, 0], [0, 0]]],
        valid=[[[1, 0], [1, 1], [1, 1]]],
        gaze=[[[0.2, 0.4], [0.4, 0.8], [np.nan, np.nan]]],
        gaze_valid=[[1, 1, 0]],
    )
    trivial = Trivial.fit(truth)
    assert trivial.move == (1.0, 0.0)
    assert trivial.gaze == pytest.approx((0.3, 0.6))


def test_gaze_error_is_in_sides_of_the_frame():
    truth = truth_of(np.zeros((1, 2, 2)), gaze=[[[0.5, 0.5], [np.nan, np.nan]]], gaze_valid=[[1, 0]])
    distance = metrics.gaze_distance(np.array([[[0.8, 0.9], [0.0, 0.0]]]), truth)
    assert metrics.gaze_measures(metrics.gaze_sums(distance, truth).sum(0))["gaze_error"] == pytest.approx(0.5)


def test_chance_distance_from_the_centre_and_a_corner():
    truth = truth_of(np.zeros((1, 2, 2)), gaze=[[[0.5, 0.5], [0.0, 0.0]]])
    centre = (np.sqrt(2) + np.log(1 + np.sqrt(2))) / 6  # mean distance of a point of the unit square to its centre
    np.testing.assert_allclose(metrics.chance_distance(truth)[0], [centre, 2 * centre], rtol=1e-3)


def interval_of(sums, measure):
    """Of a measure of sums, a row for each session."""
    return metrics.interval(len(sums), lambda counts: measure(np.tensordot(counts, sums, axes=1)))


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_interval_holds_the_value_and_is_the_same_each_time(sessions, seed):
    rng = np.random.default_rng(seed)
    truth = truth_of(rng.integers(0, 2, (sessions * 5, 3, 2)), session=np.repeat([f"s{i}" for i in range(sessions)], 5))
    sums = metrics.movement_sums(rng.random((sessions * 5, 3, 2)) > 0.5, truth)
    measure = lambda s: metrics.movement_measures(s, GROUPS)  # noqa: E731
    intervals = interval_of(sums, measure)
    low, high = intervals["move_accuracy"]
    assert low - 1e-9 <= measure(sums.sum(0))["move_accuracy"] <= high + 1e-9
    assert interval_of(sums, measure) == intervals


def test_an_interval_lies_around_its_value_where_draws_miss_rare_classes():
    """A mean over the classes that a draw has: ten are known badly, and each of these is in one session of twelve."""
    known = np.full((12, 11), np.nan)
    known[:, 0], known[np.arange(10), np.arange(1, 11)] = 0.9, 0.1

    def measure(counts):
        times = counts @ np.isfinite(known)
        of_class = counts @ np.nan_to_num(known) / np.maximum(times, 1e-9)
        return {"map": np.nanmean(np.where(times > 0, of_class, np.nan), axis=1)}

    low, high = metrics.interval(12, measure)["map"]
    assert low < measure(np.ones((1, 12)))["map"][0] < high


def test_interval_covers_other_sessions_not_other_frames():
    """Sessions that differ give a wide interval however many frames each has; frames alone would give a narrow one."""
    good = truth_of(np.ones((400, 5, 2)), session=np.repeat(["s0", "s1", "s2", "s3"], 100))
    moving = np.repeat([True, True, False, True], 100)[:, None, None] & np.ones((400, 5, 2), bool)
    sums = metrics.movement_sums(moving, good)
    low, high = interval_of(sums, lambda s: metrics.movement_measures(s, GROUPS))["move_accuracy"]
    assert high - low > 0.4


def test_interval_of_equal_sessions_is_a_point_and_of_one_session_none():
    sums = np.tile([[3.0, 4.0]], (5, 1))
    assert interval_of(sums, metrics.gaze_measures)["gaze_error"] == (0.75, 0.75)
    assert interval_of(sums[:1], metrics.gaze_measures)["gaze_error"] is None


@pytest.mark.parametrize(
    ("name", "model", "trivial", "expected"),
    [
        ("move_accuracy", (0.6, 0.7), (0.4, 0.5), "better than trivial"),
        ("move_accuracy", (0.45, 0.7), (0.4, 0.5), "not better than trivial"),
        ("move_accuracy", (0.1, 0.2), (0.4, 0.5), "worse than trivial"),
        ("gaze_error", (0.1, 0.2), (0.3, 0.4), "better than trivial"),
        ("gaze_error", (0.5, 0.6), (0.3, 0.4), "worse than trivial"),
        ("gaze_error", None, (0.3, 0.4), "not better than trivial"),
    ],
)
def test_verdict(name, model, trivial, expected):
    assert metrics.verdict(name, model, trivial) == expected
