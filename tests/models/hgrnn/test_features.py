"""What HGRNN reads: boxes held still through the clip, and flow that points the right way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from models import boxes
from models.hgrnn import features
from models.hgrnn.features import FeatureNet

torch.manual_seed(0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return FeatureNet(classes=3, features=8, narrow=32).eval()


def test_a_full_network_has_the_papers_widths():
    full = FeatureNet(60)
    assert (full.trunk.channels, full.rest.channels) == (832, 1024)
    assert full.reduce.weight.shape == (256, 1024)


def test_a_tube_is_the_box_cut_from_every_step():
    maps = torch.randn(2, 3, 4, 6, 5)
    where = torch.tensor([[[0.1, 0.2, 0.7, 0.9], [0.0, 0.0, 1.0, 1.0]]]).repeat(2, 1, 1)
    cut = features.tubes(maps, where)
    assert cut.shape == (4, 3, 4, 7, 7)
    torch.testing.assert_close(cut[3, :, 2], boxes.pooled(maps[1:2, :, 2], where[:1])[0, 1])


def test_persons_alone_and_together_and_padded(network):
    clips = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    where = torch.tensor([[[0.1, 0.1, 0.6, 0.9], [0.5, 0.2, 0.9, 0.8]]])
    with torch.no_grad():
        scene, persons = network(clips, where)
        alone = network(clips, where[:, 1:])[1]
    torch.testing.assert_close(persons[:, 1:], alone)
    stored = features.features_of(
        network, clips, torch.cat([where, torch.full((1, 1, 4), torch.nan)], 1), torch.tensor([[True, True, False]])
    )
    torch.testing.assert_close(stored[0], network.reduce(scene).detach())
    assert (stored[1][0, 2] == 0).all()
    torch.testing.assert_close(stored[1][:, :2], network.reduce(persons).detach())


def test_a_picture_without_persons_has_a_scene(network):
    scene, persons = network(torch.rand(1, 3, 9, 32, 32), torch.zeros(1, 0, 4))
    assert persons.shape == (1, 0, scene.shape[1])


def test_tuning_reaches_the_trunk():
    torch.manual_seed(1)
    network = FeatureNet(classes=3, features=8, narrow=32)
    batch = {
        "boxes": torch.tensor([[[0.1, 0.1, 0.6, 0.9], [0.0, 0.0, 0.0, 0.0]]]),
        "box_valid": torch.tensor([[True, False]]),
        "box_actions": torch.tensor([[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]),
    }
    network.loss(torch.rand(1, 3, 9, 32, 32), batch).backward()
    assert network.trunk.get_submodule("Conv3d_1a_7x7").conv3d.weight.grad.abs().sum() > 0


def test_flow_of_a_picture_that_moves_right_and_up():
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), (0, 0), 3)
    frames = np.stack([np.roll(picture, (-k, 2 * k), axis=(0, 1)) for k in range(4)])
    found = features.flow(frames)
    assert found.shape == (2, 4, 96, 96)
    middle = found[:, :, 24:72, 24:72].median(dim=-1).values.median(dim=-1).values * features.MOST_FLOW_PX
    np.testing.assert_allclose(middle[0], 2, atol=0.2)
    np.testing.assert_allclose(middle[1], -1, atol=0.2)
    assert found.abs().max() <= 1
