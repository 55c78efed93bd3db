"""The made task: what it promises of its streams, and one small run in which they teach each other."""

from __future__ import annotations

import torch

from models.synthetic.ccau import ACTIVITIES, ATOMICS, BLOCKS, STREAMS, World
from tests.bench.cooperation import ARMS, CONFIG, WRONG_CLIPS, Shuffled, accuracy


def test_clips_are_a_function_of_the_seed_and_have_the_contracts_shapes():
    world = World.of(0)
    one, again, other = world.clips(6, 1), World.of(0).clips(6, 1), world.clips(6, 2)
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert not torch.equal(one["imu"], other["imu"])
    assert one["imu"].shape == (6, BLOCKS, 10, 9)
    assert one["imu_valid"].shape == (6, BLOCKS, 10)
    assert one["thermal"].shape == (6, BLOCKS, 8, 8)
    assert one["thermal_valid"].shape == (6, BLOCKS)
    assert one["environment"].shape == one["environment_valid"].shape == (6, BLOCKS, CONFIG.channels)
    assert one["atomic"].shape == (6, ATOMICS)
    assert 0.1 < world.clips(500, 3)["atomic"].mean() < 0.5
    assert len(one["activity"].unique()) <= ACTIVITIES


def _shared(batch, name, other):
    """Share of one stream that a linear map of the other explains, beyond the class, on clips not fitted to."""
    rows = []
    for stream in (name, other):
        x = batch[stream].flatten(2).mean(1)
        for c in range(ACTIVITIES):
            own = batch["activity"] == c
            x[own] -= x[own].mean(0)
        rows.append(x)
    x, y = rows
    half = len(x) // 2
    fit = torch.linalg.lstsq(x[:half], y[:half]).solution
    return float(1 - (y[half:] - x[half:] @ fit).square().sum() / y[half:].square().sum())


def test_streams_agree_on_more_than_the_class_only_where_they_share_a_point():
    together, apart = (World.of(0).clips(3000, 1, independent=own) for own in (False, True))
    for other in STREAMS[1:]:
        assert _shared(together, STREAMS[0], other) > 0.02
        assert _shared(apart, STREAMS[0], other) < 0.005


def test_the_wrong_clips_are_aligned_in_the_control():
    torch.manual_seed(0)
    model = Shuffled(CONFIG.__class__(**{**vars(CONFIG), "cooperation": 1.0})).eval()
    seen = {}
    for name, pair in model.pairs.items():
        pair.register_forward_pre_hook(lambda _, grids, name=name: seen.update({name: grids}))
    batch = World.of(0).clips(5, 0)
    _, grids = model.loss(batch), {n: r.grid for n, (_, r) in model(batch).items()}
    one, other = seen["imu-environment"]
    torch.testing.assert_close(one, grids["imu"])
    torch.testing.assert_close(other, grids["environment"].roll(1, dims=0))
    assert WRONG_CLIPS.cooperation == 1


def test_a_few_steps_reach_more_than_chance_in_every_stream():
    found = accuracy(ARMS[1], clips=80, seed=0, steps=25)
    assert (found > 1.6 / ACTIVITIES).all()
