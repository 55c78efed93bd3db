"""The made tracks are what they say, and a few seconds of learning show what time is for."""

from __future__ import annotations

import torch

from models.lart.tracks import VECTOR
from models.synthetic.lart import CLASSES, DRIFT_M, STEPS, clips
from tests.bench.tracks import learn, precisions


def test_walks_drift_and_poses_are_those_of_the_layout():
    made = clips(300, seed=3, noise=0.0)
    tracks, actions = made["tracks"], made["track_actions"][:, :, 0]
    assert tracks.shape == (300, 5, STEPS, VECTOR)
    drift = tracks[..., -1].diff(dim=-1).mean(dim=-1)
    torch.testing.assert_close(drift[actions[..., 0] > 0].mean(), torch.tensor(DRIFT_M), atol=1e-4, rtol=0)
    torch.testing.assert_close(drift[actions[..., 1] > 0].mean(), torch.tensor(-DRIFT_M), atol=1e-4, rtol=0)
    still = (actions[..., :2].sum(-1) == 0)[..., None, None]
    assert (tracks[..., -1:].diff(dim=2)[still.squeeze(-1).squeeze(-1)].abs() < 1e-5).all()
    assert 0.05 < (~made["tracks_valid"][:, 0]).float().mean() < 0.15


def test_one_step_of_a_walk_says_nothing_of_its_direction():
    """The pose of a forward and a backward walker in the same phase is the same."""
    made = clips(2000, seed=4, noise=0.0)
    middle, actions = made["tracks"][:, 0, STEPS // 2], made["track_actions"][:, 0, 0]
    poses = [{tuple(p.tolist()) for p in middle[actions[:, k] > 0, :216]} for k in (0, 1)]
    assert poses[0] == poses[1]
    assert len(poses[0]) == 4


def test_other_tracks_tell_whom_one_is_with():
    """Small: 80 steps of 32 clips; the bench `tracks` has all arms and the margins.

    Who knows its own action alone has, among those who do it, the share of the positives.
    """
    test = clips(400, seed=0)
    found = precisions(learn("n = 5, T = 12", 1, learned=80, batch=32), "n = 5, T = 12", test)
    near = test["track_actions"][:, 0, 0, 2:].mean(0)
    for k, name in enumerate(CLASSES[2:]):
        alone = float(near[k]) / (1 / 3)  # a third of the people do each of the three actions
        assert found[name] > alone + 0.15, name
