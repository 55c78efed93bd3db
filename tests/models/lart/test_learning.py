"""What LART learns from and answers: orders, hidden shares, the loss, rates of the layers, everybody's answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_lart import SMALL, batch_of, made

from models.config import TrainConfig
from models.lart import Model
from models.lart.tracks import at_moment, hidden_share, order_for, random_order, taken
from models.lart.transformer import Part


def test_two_hundred_persons_each_have_an_answer():
    model, batch = made(replace(SMALL, layers=1)), batch_of(clips=1, tracks=200, steps=3)
    batch["tracks_valid"][:] = True
    found = model.everybody(batch)
    assert found.shape == (1, 200, 3, 4)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(model.predict(batch)["actions"][:, 0], found[:, 0].mean(dim=1))


def test_everybody_is_the_person_of_interest_in_turn():
    model, batch = made(), batch_of()
    batch["tracks_valid"][:] = True
    found = model.everybody(batch)
    for who in range(3):
        order = order_for(who, batch["tracks_valid"].any(2), 3)
        assert (order[:, 0] == who).all()
        alone = torch.sigmoid(model({k: taken(v, order) for k, v in batch.items()})["actions"][:, 0])
        torch.testing.assert_close(found[:, who].double(), alone, atol=1e-6, rtol=0)
    assert torch.equal(found, model.everybody(batch))


def test_orders_hold_everybody_there_once_and_nobody_else():
    there = torch.rand(50, 8) > 0.4
    there[:, 3] = True
    drawn = random_order(there, 5)
    for clip in range(50):
        chosen = drawn[clip].tolist()
        assert len(set(chosen)) == 5
        assert there[clip, chosen].sum() == min(5, there[clip].sum())
    firsts = random_order(torch.ones(4000, 4, dtype=torch.bool), 2)[:, 0].bincount(minlength=4)
    assert (firsts > 850).all()
    fixed = order_for(3, there, 5)
    assert (fixed[:, 0] == 3).all()
    assert torch.equal(fixed, order_for(3, there, 5))


def test_hidden_share_is_of_the_detections():
    valid = torch.rand(6, 4, 30) > 0.5
    hidden = hidden_share(valid, 0.4)
    assert not (hidden & ~valid).any()
    assert hidden.flatten(1).sum(1).tolist() == [int(0.4 * n) for n in valid.flatten(1).sum(1).tolist()]
    assert not torch.equal(hidden_share(valid, 0.4), hidden)


def test_loss_equals_loops_over_detections_with_labels():
    model = made(replace(SMALL, mask=0.0))
    batch = batch_of()
    labelled = torch.rand(batch["tracks_valid"].shape) > 0.5
    order = order_for(0, batch["tracks_valid"].any(2), 3)
    chosen = {name: taken(value, order) for name, value in batch.items()}
    logits, keep = model(chosen)["actions"].detach().numpy(), taken(labelled, order) & chosen["tracks_valid"]
    terms = []
    for index in np.argwhere(keep.numpy()):
        for score, wanted in zip(logits[tuple(index)], chosen["track_actions"][tuple(index)].numpy(), strict=True):
            p = 1 / (1 + math.exp(-score))
            terms.append(-(wanted * math.log(p) + (1 - wanted) * math.log(1 - p)))
    loss, parts = model.loss(batch | {"track_actions_valid": labelled})
    assert loss.item() == pytest.approx(10 * np.mean(terms), rel=1e-5)
    assert parts["actions"].item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_companions_labels_can_be_left_out():
    torch.manual_seed(2)
    model = made(replace(SMALL, others=False, people=1, mask=0.0))
    more = made(replace(SMALL, others=False, mask=0.0))
    more.load_state_dict(model.state_dict())
    batch = batch_of(tracks=1)
    torch.testing.assert_close(model.loss(batch)[0], more.loss(batch)[0])


def test_the_answer_for_a_moment_is_the_mean_over_twelve():
    probabilities = torch.arange(30.0)[:, None].expand(30, 2)
    assert at_moment(probabilities, 15)[0].item() == np.mean(range(9, 21))
    assert at_moment(probabilities, 2)[0].item() == np.mean(range(0, 8))
    assert at_moment(probabilities, 29)[0].item() == np.mean(range(23, 30))


def test_layers_learn_at_their_share_of_the_rate():
    model = Model(replace(SMALL, layers=3))
    groups = model.parameter_groups(TrainConfig(layer_decay=0.5, weight_decay=0.1))
    share = {id(p): (g["share"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(share) == len(list(model.parameters()))
    named = dict(model.named_parameters())
    assert share[id(named["mask_token"])] == (0.5**4, 0.0)
    assert share[id(named["pos_embedding"])] == (0.5**4, 0.1)
    assert share[id(named["pose_shape_encoder.0.weight"])] == (0.5**4, 0.1)
    for layer in range(3):
        assert share[id(named[f"transformer.layers.{layer}.0.fn.to_qkv.weight"])] == (0.5 ** (3 - layer), 0.1)
        assert share[id(named[f"transformer.layers.{layer}.1.norm.weight"])] == (0.5 ** (3 - layer), 0.0)
    assert share[id(named["action_head_ava.0.0.weight"])] == (1.0, 0.1)


def test_drop_path_leaves_out_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    part = Part(4, torch.nn.Identity(), "pre", 0.4)
    x = torch.randn(4000, 3, 4)
    added = part(x) - x
    gone = (added == 0).all(dim=(1, 2))
    assert gone.float().mean().item() == pytest.approx(0.4, abs=0.03)
    torch.testing.assert_close(added[~gone], part.norm(x[~gone]) / 0.6)
    torch.testing.assert_close(part.eval()(x), x + part.norm(x))
