"""Average precision over persons: by hand, against loops, and over sessions that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from models import metrics
from models.ava.matching import average_precision
from models.people import PersonTruth, precision, truth_of

ONCE = np.ones((1, 1))


def made(seed=0, clips=40, people=3, classes=4):
    rng = np.random.default_rng(seed)
    valid = rng.random((clips, people)) > 0.3
    actions = (rng.random((clips, people, classes)) > 0.7).astype(float)
    actions[..., -1] = 0  # a class that does not occur
    session = np.array([f"s{i % 4}" for i in range(clips)])
    return PersonTruth(actions, valid, session, tuple("abcd"[:classes]))


def test_it_is_the_average_precision_of_the_evaluator_where_scores_differ():
    rng = np.random.default_rng(1)
    score, right = rng.permutation(200) / 200, rng.random(200) > 0.6
    once = precision(score, right, ONCE, np.zeros(200, int))
    assert once[0] == pytest.approx(average_precision(score, right, int(right.sum())))


def test_equal_scores_have_the_share_whatever_their_order():
    right = np.array([True, False, False, True])
    for order in ([0, 1, 2, 3], [1, 2, 0, 3]):
        assert precision(np.zeros(4), right[order], ONCE, np.zeros(4, int))[0] == pytest.approx(0.5)


def test_sessions_that_count_twice_are_rows_that_stand_twice():
    rng = np.random.default_rng(2)
    session = rng.integers(0, 3, 60)
    score, right = rng.integers(0, 10, 60) / 10, rng.random(60) > 0.5
    drawn = np.array([[2, 0, 1], [1, 1, 1], [0, 3, 0]])
    found = precision(score, right, drawn, session)
    for row, counts in zip(found, drawn, strict=True):
        rows = np.repeat(np.arange(60), counts[session])
        assert row == pytest.approx(precision(score[rows], right[rows], ONCE, np.zeros(len(rows), int))[0])


def test_nothing_to_find_is_no_number():
    assert np.isnan(precision(np.zeros(3), np.zeros(3, bool), ONCE, np.zeros(3, int)))[0]
    assert np.isnan(precision(np.zeros(0), np.zeros(0, bool), ONCE, np.zeros(0, int)))[0]


def test_comparisons_stand_beside_the_share_and_leave_out_what_does_not_occur():
    truth = made()
    predicted = {"actions": truth.actions + np.random.default_rng(3).normal(0, 0.1, truth.actions.shape)}
    (comparison,) = truth.comparisons(predicted, truth.trivial())
    once = np.ones((1, comparison.sessions))
    own, other = comparison.own(once), comparison.trivial(once)
    assert own["map"][0] == pytest.approx(1.0)
    assert np.isnan(own["ap_d"][0])
    shares = truth.actions[truth.valid].mean(0)[:3]
    assert other["map"][0] == pytest.approx(shares.mean())
    assert comparison.chance["ap_a"] == pytest.approx(shares[0])
    low, high = metrics.interval(comparison.sessions, comparison.own)["map"]
    assert 0.9 < low <= high <= 1


def test_persons_who_are_not_there_do_not_matter():
    truth = made()
    actions = np.where(truth.valid[..., None], truth.actions, 1.0)
    other = PersonTruth(actions, truth.valid, truth.session, truth.names)
    predicted = {"actions": np.random.default_rng(4).random(actions.shape)}
    values = [t.comparisons(predicted, t.trivial())[0].own(np.ones((1, 4)))["map"][0] for t in (truth, other)]
    assert values[0] == values[1]
    assert truth.counts() == other.counts()


def test_a_split_without_clips_has_counts_and_no_error():
    truth = truth_of([], [], ("a", "b"))
    assert truth.counts() == {"persons": 0, "actions": 0}
    assert truth.trivial() == {"actions": [0.0, 0.0]}
