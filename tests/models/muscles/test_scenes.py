"""The made scenes tell the truth, and a small version of the mechanism: gaze gets into a frozen backbone."""

from __future__ import annotations

import pytest
import torch

from models.synthetic.muscles import CHANCE, FRAMES, SIDE, made, other_view
from tests.bench import gaze_and_movement

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def scenes():
    return made(256, seed=3)


def test_equal_seeds_make_equal_scenes(scenes):
    again = made(256, seed=3)
    assert torch.equal(scenes.frames, again.frames)
    assert torch.equal(scenes.gaze, again.gaze)
    assert not torch.equal(scenes.frames, made(256, seed=4).frames)


def test_shapes_and_shares(scenes):
    assert scenes.frames.shape == (256, FRAMES, 3, SIDE, SIDE)
    assert scenes.gaze_valid.float().mean().item() == pytest.approx(0.9, abs=0.03)
    assert scenes.move_valid.float().mean().item() == pytest.approx(2 / 3, abs=0.04)
    for name, answer in scenes.answers.items():
        assert len(answer.unique()) == round(1 / CHANCE[name])


def test_gaze_is_on_the_tool_and_its_cell(scenes):
    column, row = (scenes.gaze.median(dim=1).values * 4).clamp(0, 3.99).long().T
    assert (4 * row + column == scenes.answers["cell"]).float().mean() > 0.9


def test_still_parts_stand_still_and_movers_move(scenes):
    still = scenes.answers["movers"] == 0
    steps = (scenes.frames[:, 1:].float() - scenes.frames[:, :-1].float()).abs().mean(dim=(1, 2, 3, 4))
    assert still.sum() > 10
    assert steps[still].max() < 13  # noise alone
    assert steps[scenes.answers["movers"] >= 4].min() > steps[still].max()  # the torso moves the whole wall


def test_another_view_is_the_same_scene_moved_and_recoloured(scenes):
    images = scenes.frames[:8, 0].float() / 255
    view = other_view(images, torch.Generator().manual_seed(0))
    assert view.shape == images.shape
    assert not torch.equal(view, images)
    assert view.min() >= 0
    assert view.max() <= 1


def test_gaze_gets_into_a_frozen_backbone(monkeypatch):
    """The bench made small: fewer steps of fewer clips, gaze alone, one probe; the margin is wide."""
    monkeypatch.setattr(gaze_and_movement, "BATCH", 16)
    monkeypatch.setattr(gaze_and_movement, "PROBE_STEPS", 100)
    train, test = made(512, seed=0), made(256, seed=1)
    found = {}
    for objectives in ("random", "attn"):
        model = gaze_and_movement.learned(objectives, train, 120, seed=0)
        maps = tuple(gaze_and_movement.features(model, scenes) for scenes in (train, test))
        found[objectives] = gaze_and_movement.probed("cell", maps, (train.answers["cell"], test.answers["cell"]), 0)
    assert found["attn"] > found["random"] + 0.08, found
