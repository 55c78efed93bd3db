"""The made scenes tell the truth, and a small version of the mechanism: gaze gets into a frozen backbone."""

from __future__ import annotations

import pytest
import torch

from models.synthetic.muscles import CHANCE, FRAMES, SIDE, made, other_view
from tests.bench.gaze_and_movement import arm

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


@pytest.mark.slow
def test_gaze_and_movement_get_into_a_frozen_backbone():
    """Fewer steps and clips than the bench; margins are wide. The control may go either way by a few points."""
    train, test = made(1024, seed=0), made(512, seed=1)
    random, both = (arm(name, 0, 120, train, test) for name in ("random", "vis/move/attn"))
    assert both["cell"] > random["cell"] + 0.2
    assert both["movers"] > random["movers"] + 0.1
