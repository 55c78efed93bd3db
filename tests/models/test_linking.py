"""Boxes linked to tracks: who crosses whom, who is gone for a while, and boxes that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.linking import Frame, link


def box(x, y=0.4, size=0.2):
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2]


def walk(start, stop, count):
    return [start + (stop - start) * k / (count - 1) for k in range(count)]


def crossing(looks):
    """Two people who change sides, drawn in an order that changes."""
    frames, truth = [], []
    rng = np.random.default_rng(0)
    look = np.eye(4)[:2]
    for left, right in zip(walk(0.1, 0.9, 41), walk(0.9, 0.1, 41), strict=True):
        order = rng.permutation(2)
        frames.append(
            Frame(
                np.array([box(left), box(right)])[order],
                look[order] + rng.normal(0, 0.1, (2, 4)) if looks else None,
            )
        )
        truth.append(order)
    return frames, truth


def test_people_who_cross_are_told_apart_by_their_looks():
    frames, truth = crossing(looks=True)
    numbers = link(frames)
    first = {int(t): int(n) for t, n in zip(truth[0], numbers[0], strict=True)}
    for found, order in zip(numbers, truth, strict=True):
        assert [first[int(t)] for t in order] == found.tolist()


def test_people_apart_are_told_by_overlap_alone():
    frames = [Frame(np.array([box(0.2 + 0.01 * k), box(0.7 - 0.01 * k)])[:: (-1) ** k]) for k in range(10)]
    for k, found in enumerate(link(frames)):
        assert found.tolist() == [0, 1][:: (-1) ** k]


def test_the_pairing_is_the_best_of_all_and_not_the_nearest_first():
    """The box between overlaps the left track more, but then the right one would have none."""
    before = Frame(np.array([box(0.40), box(0.56)]))
    after = Frame(np.array([box(0.47), box(0.35)]))
    assert link([before, after], least=0.1)[1].tolist() == [1, 0]


@pytest.mark.parametrize(("gap", "expected"), [(3, 0), (4, 1)])
def test_who_is_gone_for_longer_than_the_patience_is_somebody_else(gap, expected):
    nobody = Frame(np.zeros((0, 4)))
    frames = [Frame(np.array([box(0.5)])), *[nobody] * gap, Frame(np.array([box(0.5)]))]
    numbers = link(frames, patience=3)
    assert numbers[-1].tolist() == [expected]
    assert numbers[1].shape == (0,)


def test_a_box_far_from_every_track_begins_one():
    frames = [Frame(np.array([box(0.2)])), Frame(np.array([box(0.8), box(0.2)]))]
    assert link(frames)[1].tolist() == [1, 0]
    assert link([Frame(np.array([box(0.2)])), Frame(np.array([box(0.8)]))])[1].tolist() == [1]


def test_boxes_that_are_none_are_in_no_track():
    wrong = [box(0.5), [0.4, 0.4, 0.4, 0.6], [math.nan, 0, 1, 1]]
    assert link([Frame(np.array(wrong))])[0].tolist() == [0, -1, -1]
    assert link([]) == []


def test_two_hundred_people_keep_their_numbers():
    rng = np.random.default_rng(1)
    places = np.stack(np.meshgrid(np.linspace(0.05, 0.95, 20), np.linspace(0.05, 0.95, 10)), axis=-1).reshape(-1, 2)
    frames, orders = [], []
    for _ in range(3):
        order = rng.permutation(200)
        moved = places[order] + rng.normal(0, 0.001, (200, 2))
        frames.append(Frame(np.concatenate([moved - 0.02, moved + 0.02], axis=1)))
        orders.append(order)
    numbers = link(frames)
    of_person = dict(zip(orders[0].tolist(), numbers[0].tolist(), strict=True))
    for order, found in zip(orders, numbers, strict=True):
        assert [of_person[p] for p in order.tolist()] == found.tolist()
