"""Alignment, focal, activity, distillation and learned weights against loops, and where there is nothing to learn."""

from __future__ import annotations

import math

import ccau_reference as reference
import numpy as np
import pytest
import torch
from test_resnet import plain

from models.ccau import Config, losses
from models.ccau.losses import Alignment, Weighting

SMALL = Config(size=33, hidden=3, projection=4)


def softmax(x):
    raised = np.exp(x - x.max())
    return raised / raised.sum()


def test_align_loss_equals_loops():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    total = 0.0
    for i in range(5):
        total -= math.log(softmax(np.array([one[i] @ o for o in other]))[i]) / 10
        total -= math.log(softmax(np.array([o @ other[i] for o in one]))[i]) / 10
    found = losses.align_loss(torch.from_numpy(one), torch.from_numpy(other))
    assert found.item() == pytest.approx(total, abs=1e-6)


def test_alignment_has_projections_and_attention_of_its_own():
    torch.manual_seed(0)
    pair = Alignment(SMALL, (4, 1)).double()
    grids = torch.randn(2, 3, 2, 2, dtype=torch.float64), torch.randn(2, 3, 1, 1, dtype=torch.float64)
    one, other = pair(*grids)
    state = plain(pair)
    for clip in range(2):
        weights = reference.attention(grids[0][clip].numpy(), state, "mode0_attention_fn")
        contexts = reference.pooled(grids[0][clip].numpy(), weights), grids[1][clip, :, 0, 0].numpy()
        for found, context, name in zip((one, other), contexts, ("mode0_to_common", "mode1_to_common"), strict=True):
            hidden = np.maximum(reference.linear(context, state, f"{name}.0"), 0)
            expected = reference.linear(hidden, state, f"{name}.2")
            np.testing.assert_allclose(found[clip].detach().numpy(), expected, atol=1e-6)
    assert pair.mode1_attention_fn is None


def test_count_of_a_pair_of_views():
    with torch.device("meta"):
        pair = Alignment(Config(), (16, 16))
    assert sum(p.numel() for p in pair.parameters()) == 134_336


@pytest.mark.parametrize("clips", [0, 1])
def test_fewer_than_two_clips_cannot_be_told_apart(clips):
    one = torch.randn(clips, 4, requires_grad=True)
    loss = losses.align_loss(one, torch.randn(clips, 4))
    assert loss.item() == 0
    loss.backward()
    assert (one.grad == 0).all()


def test_activity_loss_equals_loops_and_skips_the_unknown():
    rng = np.random.default_rng(1)
    logits, activity = rng.normal(size=(4, 3)), np.array([2, -1, 0, 1])
    expected = np.mean([-math.log(softmax(logits[i])[activity[i]]) for i in (0, 2, 3)])
    found = losses.activity_loss(torch.from_numpy(logits), torch.from_numpy(activity))
    assert found.item() == pytest.approx(expected, abs=1e-9)
    leaf = torch.zeros(2, 3, requires_grad=True)
    losses.activity_loss(leaf, torch.tensor([-1, -1])).backward()
    assert (leaf.grad == 0).all()


@pytest.mark.parametrize(("gamma", "weight"), [(2.0, 10.0), (0.0, 1.0)])
def test_atomic_loss_equals_loops(gamma, weight):
    rng = np.random.default_rng(2)
    logits, atomic = rng.normal(0, 3, (4, 5)), (rng.random((4, 5)) > 0.7).astype(float)
    atomic[:, 2] = 0  # a class without positives counts as any other
    valid = np.array([True, False, True, True])
    each = []
    for i in np.flatnonzero(valid):
        for c in range(5):
            p = 1 / (1 + math.exp(-logits[i, c]))
            right = p if atomic[i, c] else 1 - p
            each.append((weight if atomic[i, c] else 1) * (1 - right) ** gamma * -math.log(right))
    tensors = (torch.from_numpy(x) for x in (logits, atomic, valid))
    assert losses.atomic_loss(*tensors, gamma, weight).item() == pytest.approx(np.mean(each), abs=1e-6)
    leaf = torch.zeros(2, 3, requires_grad=True)
    losses.atomic_loss(leaf, torch.ones(2, 3), torch.tensor([False, False]), gamma, weight).backward()
    assert (leaf.grad == 0).all()


def test_distill_loss_equals_loops_and_leaves_the_teacher():
    rng = np.random.default_rng(3)
    student, teacher = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    expected = np.mean(
        [-(softmax(t / 2.5) * np.log(softmax(s / 2.5))).sum() for s, t in zip(student, teacher, strict=True)]
    )
    leaves = [torch.from_numpy(x).requires_grad_() for x in (student, teacher)]
    loss = losses.distill_loss(*leaves, 2.5)
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    loss.backward()
    assert leaves[0].grad.abs().sum() > 0
    assert leaves[1].grad is None
    assert losses.distill_loss(torch.zeros(0, 3), torch.zeros(0, 3), 2.5).item() == 0


def test_weights_fixed_and_learned():
    terms = {"activity": torch.tensor(2.0), "atomic": torch.tensor(0.3)}
    assert Weighting(Config())(terms).item() == pytest.approx(2 + 10 * 0.3)
    learned = Weighting(Config(weighting="uncertainty"))
    learned.log_variance["activity"].data.fill_(0.5)
    learned.log_variance["atomic"].data.fill_(-1.0)
    sigma2 = math.exp(0.5), math.exp(-1.0)
    expected = 2 / sigma2[0] + 3 / sigma2[1] + math.log(math.sqrt(sigma2[0]) * math.sqrt(sigma2[1]))
    assert learned(terms).item() == pytest.approx(expected, rel=1e-6)  # eq. 4 as printed
    learned(terms).backward()
    assert all(p.grad is not None for p in learned.parameters())
