"""The made frames are what they say, and a few seconds of learning show what each part of HGRNN is for."""

from __future__ import annotations

import torch

from models.synthetic.hgrnn import CLASSES, CONTEXT, frames
from tests.bench.relations import HGRNN, learn, precisions


def test_classes_follow_from_the_bits():
    made = frames(200, seed=5)
    there = made["person_features_valid"][:, CONTEXT]
    scene, persons = made["scene_features"], made["person_features"][:, CONTEXT]
    for frame in range(200):
        s = bool(scene[frame, CONTEXT - 2, 0] > 0) and bool(scene[frame, CONTEXT + 2, 1] > 0)
        people = [i for i in range(5) if there[frame, i]]
        assert 2 <= len(people) <= 5
        bits = {i: [bool(b) for b in persons[frame, i, :3] > 0] for i in people}
        for i in people:
            u, o = bits[i][0], any(bits[j][1] and bits[j][2] for j in people if j != i)
            expected = [u, u and s, u and o, u and s and o, o and not u, s]
            assert made["box_actions"][frame, i].bool().tolist() == expected
    assert torch.equal(made["scene_features"], frames(200, seed=5)["scene_features"])
    assert not torch.equal(made["scene_features"], frames(200, seed=6)["scene_features"])


def test_two_iterations_learn_what_the_parts_cannot():
    """Small: 300 steps of 32 frames, which is a few seconds; the bench `relations` has the claim with its margins."""
    test = frames(800, seed=0)
    found = {
        arm: precisions(learn(arm, 1, steps=300, batch=32), test) for arm in ("graph alone", "HGRNN, K = 1", HGRNN)
    }
    whole = found[HGRNN]
    assert sum(whole.values()) / len(CLASSES) > 0.93
    assert found["graph alone"]["s"] < 0.4
    for name in ("u and o", "o, not u"):
        assert whole[name] > found["HGRNN, K = 1"][name] + 0.1
