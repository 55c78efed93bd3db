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


def test_two_iterations_learn_what_one_cannot():
    """Small: 150 steps of 48 frames, two seconds an arm; the bench `relations` has all arms and the margins."""
    test = frames(600, seed=0)
    once, twice = (precisions(learn(arm, 1, steps=150, batch=48), test) for arm in ("HGRNN, K = 1", HGRNN))
    assert sum(twice.values()) / len(CLASSES) > 0.9
    for name in ("u and o", "o, not u"):
        assert twice[name] > once[name] + 0.1
