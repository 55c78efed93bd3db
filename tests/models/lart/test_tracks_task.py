"""The made tracks are what they say, and a few seconds of learning show what time is for."""

from __future__ import annotations

import torch

from models.lart.tracks import VECTOR
from models.synthetic.lart import DRIFT_M, STEPS, clips
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
    """Small: 120 steps of 32 clips; the bench `tracks` has the claim with its margins."""
    test = clips(600, seed=0)
    whole, one = (
        precisions(learn(arm, 1, learned=160, batch=32), arm, test) for arm in ("n = 5, T = 12", "n = 1, T = 12")
    )
    social = ("wave near waver", "idle near waver", "walk near walker")
    assert sum(whole[name] - one[name] for name in social) / 3 > 0.1
    assert one["forward"] > 0.9
