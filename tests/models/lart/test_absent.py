"""Who and what is not there changes nothing, and companions change what they should."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from plain_lart import SMALL, STEPS, batch_of, made

from models.lart import Model
from models.lart.model import openable
from models.lart.tracks import VECTOR, known, rest, taken


def test_a_person_without_a_detection_changes_nothing_to_the_bit():
    model, batch = made(), batch_of()
    batch["tracks_valid"][:, 2] = False
    before = model(batch)["actions"]
    for name in ("tracks", "appearance"):
        batch[name][:, 2] = math.nan
    assert torch.equal(model(batch)["actions"][:, :2], before[:, :2])
    without = {name: value[:, :2] for name, value in batch.items()}
    torch.testing.assert_close(model(without)["actions"], before[:, :2], atol=1e-12, rtol=0)


def test_what_is_under_a_false_does_not_reach_the_gradient():
    model, batch = made(replace(SMALL, partial=True)), batch_of()
    batch["tracks_joints"] = torch.rand(2, 3, 24) > 0.3
    gone = ~batch["tracks_valid"][..., None]
    gradients = []
    for under in (0.0, math.nan):
        model.zero_grad()
        hidden = {name: torch.where(gone, under, batch[name]) for name in ("tracks", "appearance")}
        model.loss(batch | hidden)[0].backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_steps_without_anybody_at_the_end_change_nothing():
    model, batch = made(), batch_of(steps=7)
    batch["tracks_valid"][:, :, STEPS:] = False
    short = {name: value[:, :, :STEPS] for name, value in batch.items()}
    found = model(batch)["actions"][:, :, :STEPS]
    torch.testing.assert_close(found, model(short)["actions"], atol=1e-12, rtol=0)


def test_companions_matter_only_through_the_tracks_half_of_the_position():
    config = replace(SMALL, learned_positions=True)
    model, batch = made(config), batch_of(config)
    order = torch.tensor([[0, 2, 1]] * 2)
    turned = {name: taken(value, order) for name, value in batch.items()}
    before, after = (model(b)["actions"][:, 0] for b in (batch, turned))
    assert (before - after).abs().max() > 1e-6
    with torch.no_grad():
        model.pos_embedding[:, :, 2] = model.pos_embedding[:, :, 1]
    before, after = (model(b)["actions"][:, 0] for b in (batch, turned))
    torch.testing.assert_close(before, after, atol=1e-12, rtol=0)


def test_companions_change_the_answer():
    model, batch = made(), batch_of()
    other = batch | {"tracks": batch["tracks"].clone()}
    other["tracks"][:, 1] += 1
    batch["tracks_valid"][:, 1] = True
    assert (model(batch)["actions"][:, 0] - model(other)["actions"][:, 0]).abs().max() > 1e-6


def test_a_softmax_never_runs_over_nothing():
    """Some versions of torch answer with zeros, others with no number."""
    seen = torch.tensor([[False, False], [False, True]])
    assert openable(seen).tolist() == [[True, False], [False, True]]


def test_a_clip_without_any_detection_has_a_number_and_no_loss():
    model, batch = Model(SMALL).double(), batch_of()
    batch["tracks_valid"][:] = False
    assert torch.isfinite(model(batch)["actions"]).all()
    loss, _ = model.loss(batch)
    assert loss.item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.isfinite(model.eval().predict(batch)["actions"]).all()


def test_rotations_that_are_not_measured_stand_at_rest():
    vectors = torch.randn(2, 3, VECTOR)
    measured = torch.zeros(2, 3, 24, dtype=torch.bool)
    measured[..., 5] = True
    found = known(vectors, measured)
    torch.testing.assert_close(found[..., 45:54], vectors[..., 45:54])
    torch.testing.assert_close(found[..., :45], rest()[:45].expand(2, 3, 45))
    torch.testing.assert_close(found[..., 216:], vectors[..., 216:])


def test_what_body_sensors_do_not_measure_does_not_matter_and_the_model_knows_it():
    config = replace(SMALL, inputs="pose", partial=True)
    model, batch = made(config), batch_of(config)
    batch["tracks_joints"] = torch.rand(2, 3, STEPS, 24) > 0.5
    before = model(batch)["actions"]
    other = batch | {"tracks": batch["tracks"].clone()}
    unmeasured = ~batch["tracks_joints"].repeat_interleave(9, dim=-1)
    other["tracks"][..., :216][unmeasured] = math.nan
    assert torch.equal(model(other)["actions"], before)
    fewer = batch | {"tracks_joints": torch.zeros(2, 3, 24, dtype=torch.bool)}
    assert (model(fewer)["actions"] - before).abs().max() > 1e-6
