"""What Muscles learns from labels of gaze and movement, and that those which are missing or ignored teach nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_clips import MadeClips
from plain_muscles import SMALL, batch_of, sigmoid
from torch.utils.data import default_collate

from firmware_host.errors import ConfigError
from models import muscles
from models.muscles import GROUPS, Model
from models.muscles.data import WithoutParts
from models.muscles.losses import gaze_loss, move_loss


def huber(error):
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


def test_gaze_loss_equals_loops_and_ignores_missing_gaze():
    rng = np.random.default_rng(0)
    predicted, gaze = rng.normal(0, 2, (3, 4, 2)), rng.random((3, 4, 2))
    valid = rng.random((3, 4)) > 0.4
    gaze[~valid] = np.nan
    errors = [
        huber(predicted[b, t, k] - gaze[b, t, k]) for b in range(3) for t in range(4) for k in range(2) if valid[b, t]
    ]
    leaf = torch.from_numpy(predicted).float().requires_grad_()
    loss = gaze_loss(leaf, torch.from_numpy(gaze).float(), torch.from_numpy(valid))
    assert loss.item() == pytest.approx(np.mean(errors), abs=1e-6)
    loss.backward()
    assert (leaf.grad[~torch.from_numpy(valid)] == 0).all()


def test_move_loss_equals_loops_and_ignores_grey_labels():
    rng = np.random.default_rng(1)
    logits, move = rng.normal(0, 3, (2, 3, 6)), (rng.random((2, 3, 6)) > 0.5).astype(float)
    valid = rng.random((2, 3, 6)) > 0.4
    each = []
    for index in np.argwhere(valid):
        p, y = sigmoid(logits[tuple(index)]), move[tuple(index)]
        each.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
    loss = move_loss(torch.tensor(logits).float(), torch.tensor(move).float(), torch.from_numpy(valid))
    assert loss.item() == pytest.approx(np.mean(each), abs=1e-6)


def test_a_batch_without_labels_has_loss_zero_and_finite_gradients():
    model = Model(SMALL)
    batch = batch_of(SMALL) | {"gaze": torch.full((4, 3, 2), math.nan)}
    batch["gaze_valid"][:], batch["move_valid"][:] = False, False
    loss, terms = model.loss(batch)
    assert terms["gaze"].item() == 0
    assert terms["move"].item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("objectives", "terms"),
    [
        ("attn", {"gaze"}),
        ("move/attn", {"move", "gaze"}),
        ("vis", {"visual"}),
        ("vis/attn", {"visual", "gaze"}),
        ("vis/move", {"visual", "move"}),
        ("vis/move/attn", {"visual", "move", "gaze"}),
        ("move", {"move"}),
    ],
)
def test_objectives_build_and_train_only_their_parts(objectives, terms):
    config = replace(SMALL, objectives=objectives, visual_weight=2.0, gaze_weight=3.0, move_weight=5.0)
    model = Model(config)
    loss, losses = model.loss(batch_of(SMALL))
    assert set(losses) == terms
    weighted = {"visual": 2.0, "gaze": 3.0, "move": 5.0}
    torch.testing.assert_close(loss, sum(weighted[name] * value for name, value in losses.items()))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)  # nothing idle


@pytest.mark.parametrize("group", GROUPS)
def test_an_ignored_part_teaches_nothing_and_is_not_measured(group):
    clips = WithoutParts(MadeClips(6), (group,))
    column = GROUPS.index(group)
    truth = muscles.truth(clips)
    assert not truth.move_valid[..., column].any()
    others = [i for i in range(6) if i != column]
    np.testing.assert_array_equal(truth.move_valid[..., others], muscles.truth(clips.clips).move_valid[..., others])
    batch = {k: v for k, v in default_collate([clips[i] for i in range(6)]).items() if isinstance(v, torch.Tensor)}
    model = Model(replace(SMALL, size=32, frames=5, objectives="move"))
    model.loss(batch)[0].backward()
    last = model.imu_unembed[1][0].bias.grad
    assert last[column] == 0
    assert (last[others] != 0).all()


def test_truth_is_the_labels_of_every_clip_in_order():
    clips = MadeClips(6)
    truth = muscles.truth(clips)
    assert truth.move.shape == truth.move_valid.shape == (6, 5, 6)
    np.testing.assert_array_equal(truth.gaze[4], clips[4]["gaze"])
    np.testing.assert_array_equal(truth.gaze_valid[3], clips[3]["gaze_valid"])
    assert truth.session.tolist() == [clips[i]["session"] for i in range(6)]
    assert muscles.truth(MadeClips(0)).move_valid.shape == (0, 5, 6)


@pytest.mark.parametrize(
    ("change", "sentence"), [({"frames": 4}, "frames must be 5"), ({"groups": 3}, "groups must be 6")]
)
def test_clips_that_do_not_fit_the_model_are_refused(change, sentence):
    with pytest.raises(ConfigError, match=f"muscles.{sentence}"):
        muscles.open_split("nowhere", "train", replace(SMALL, **({"frames": 5} | change)))
