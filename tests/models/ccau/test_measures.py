"""Top-k and average precision by hand, under weights, and where a class has no positives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.ccau.measures import Truth, average_precision, mean_precision, place_of_truth


def plain_precision(scores, positive):
    """Mean over the positives of the precision at their score."""
    each = [(positive[scores >= s]).mean() for s, p in zip(scores, positive, strict=True) if p]
    return np.mean(each)


@pytest.fixture
def truth():
    rng = np.random.default_rng(0)
    atomic = (rng.random((12, 4)) > 0.6).astype(np.float32)
    atomic[:, 3] = 0
    activity = np.array([0, 1, 2, 1, 1, 0, -1, 2, 1, 1, 0, 1])
    names = ("sit", "walk", "pour")
    return Truth(activity, atomic, np.ones(12, bool), np.repeat(["a", "b", "c"], 4), names)


def test_average_precision_equals_a_loop_with_ties():
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores, positive = rng.integers(0, 6, 15) / 5, rng.random(15) > 0.6
        positive[0] = True
        found = average_precision(scores, positive, np.ones((1, 15)))
        assert found[0] == pytest.approx(plain_precision(scores, positive))


def test_a_clip_that_counts_twice_is_a_clip_twice():
    rng = np.random.default_rng(2)
    scores, positive, weight = rng.random(8), rng.random(8) > 0.5, rng.integers(0, 3, (5, 8)).astype(float)
    for found, counts in zip(average_precision(scores, positive, weight), weight.astype(int), strict=True):
        drawn = np.repeat(np.arange(8), counts)
        if positive[drawn].any():
            assert found == pytest.approx(plain_precision(scores[drawn], positive[drawn]))
        else:
            assert np.isnan(found)


def test_classes_without_positives_are_left_out_of_both_means():
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.3, 0.6], [0.1, 0.2, 0.7]])
    positive = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], bool)
    found = mean_precision("x", scores, positive, np.ones((1, 3)))
    first, second = (1 + 2 / 3) / 2, 1.0
    assert found["x.map"][0] == pytest.approx((first + second) / 2)
    assert found["x.map_weighted"][0] == pytest.approx((2 * first + second) / 3)
    none = mean_precision("x", scores, np.zeros((3, 3), bool), np.ones((1, 3)))
    assert np.isnan(none["x.map"][0])


def test_place_of_the_truth():
    scores = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4], [0.0, 0.0, 0.0]])
    assert place_of_truth(scores, np.array([2, 1, 2])).tolist() == [1, 2, 2]


def test_measures_are_of_the_clips_that_have_the_stream_and_the_label(truth):
    said = np.zeros((12, 3))
    said[np.arange(12), np.where(truth.activity == 2, 0, truth.activity)] = 1  # wrong for pouring alone
    present = np.ones(12)
    present[2] = 0  # one of the two clips of pouring
    predicted = {"ego.activity": said, "ego.present": present, "ego.atomic": truth.atomic * 0.9}
    found = truth.comparisons(predicted, truth.trivial())
    values = {k: v[0] for c in found for k, v in c.own(np.ones((1, 3))).items()}
    assert values["ego.top1"] == pytest.approx(9 / 10)
    assert values["ego.top3"] == 1
    assert values["ego.map"] == pytest.approx(1)
    trivial = {k: v[0] for c in found for k, v in c.trivial(np.ones((1, 3))).items()}
    assert trivial["ego.top1"] == pytest.approx(6 / 10)  # always walking
    rows = np.delete(truth.atomic, 2, axis=0)[:, :3]
    assert trivial["ego.map"] == pytest.approx(rows.mean(0).mean())
    assert found[0].chance["ego.top1"] == pytest.approx(1 / 3)
    assert found[1].chance["ego.map"] == pytest.approx(rows.mean(0).mean())
    twice = found[0].own(np.array([[2.0, 0, 0], [0, 0, 0]]))["ego.top1"]
    assert twice[0] == 1
    assert np.isnan(twice[1])


def test_without_labels_there_is_no_value_and_no_warning(truth):
    none = replace(truth, activity=np.full(12, -1), atomic_valid=np.zeros(12, bool))
    predicted = {"all.activity": np.ones((12, 3)), "all.present": np.ones(12), "all.atomic": np.ones((12, 4))}
    for comparison in none.comparisons(predicted, none.trivial()):
        assert all(np.isnan(v[0]) for v in comparison.own(np.ones((1, 3))).values())
    assert none.counts() == {"activity": 0, "atomic": 0}
