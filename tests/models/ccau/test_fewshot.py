"""Few clips of new classes: who is drawn, what is learned from them, and what cannot be asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from firmware_host.errors import ConfigError
from models.ccau.fewshot import Features, draw, few_shot, fitted, novel_classes


def features(seed, count=120, classes=6):
    """Contexts about a mean for each class, which also decides two atomic actions."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(9).normal(size=(classes, 8))
    activity = np.arange(count) % classes
    context = means[activity] + 0.9 * rng.normal(size=(count, 8))
    atomic = np.stack([activity % 2, activity % 3 == 0], axis=1).astype(np.float32)
    return Features(context.astype(np.float32), activity, atomic)


def test_draws_are_of_the_new_classes_and_differ():
    activity = np.array([0, 1, 2, 2, 2, 1, 0, 2, 1, 1])
    rows = draw(activity, (1, 2), 2, seed=0)
    assert sorted(activity[rows]) == [1, 1, 2, 2]
    assert len({tuple(draw(activity, (1, 2), 2, seed=s)) for s in range(8)}) > 1
    assert sorted(activity[draw(activity, (0, 2), 5, seed=0)]) == [0, 0, 2, 2, 2, 2]


def test_more_clips_help_and_a_short_class_is_told():
    scores = few_shot(features(0), features(1), novel=(1, 3, 4), shots=(1, 10, 50), draws=2)
    assert [s.shots for s in scores] == [1, 10, 50]
    assert [s.short for s in scores] == [0, 0, 3]
    assert scores[0].top1.mean() > 1 / 3
    assert scores[1].top1.mean() > scores[0].top1.mean()
    assert scores[1].mean_ap.mean() > scores[0].mean_ap.mean()
    assert np.ptp(scores[2].top1) == 0  # every draw has all clips


def test_old_classes_are_not_asked():
    one, other = features(0), features(1)
    again = Features(other.context.copy(), other.activity, other.atomic)
    again.context[other.activity == 0] += 50
    first, second = (few_shot(one, test, novel=(1, 4), shots=(5,), draws=1)[0] for test in (other, again))
    assert first.top1 == second.top1


def test_what_cannot_be_done_is_a_sentence():
    with pytest.raises(ConfigError, match="activity 7 has none in training"):
        few_shot(features(0), features(1), novel=(1, 7))
    with pytest.raises(ConfigError, match="choose fewer"):
        novel_classes(5, 5)
    assert len(novel_classes(75, 15)) == 15
    assert novel_classes(75, 15) == novel_classes(75, 15) != novel_classes(75, 15, seed=1)


def test_the_regression_is_at_its_optimum():
    torch.manual_seed(0)
    x, target = torch.randn(40, 3), torch.nn.functional.one_hot(torch.arange(40) % 3, 3).float()
    said = fitted(x, target, x, exclusive=True)
    # At the optimum of a softmax with a free bias, the mean probability of each class is its share.
    torch.testing.assert_close(said.softmax(1).mean(0), target.mean(0), atol=1e-3, rtol=0)
