"""What HGRNN reads: boxes held still through the clip, and flow that points the right way."""

from __future__ import annotations

import cv2
import made_people
import numpy as np
import pytest
import torch

from firmware_host.errors import SessionError
from models import boxes
from models.hgrnn import features, tuning
from models.hgrnn.features import FeatureNet
from models.i3d import I3D

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
    network.logits(torch.rand(1, 3, 9, 32, 32), torch.tensor([[[0.1, 0.1, 0.6, 0.9]]])).sum().backward()
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


def test_public_weights_fill_the_i3d_and_leave_the_rest():
    torch.manual_seed(2)
    public = I3D(classes=5)
    network = FeatureNet(classes=3)
    before = network.reduce.weight.clone()
    network.adopt({f"module.{name}": tensor for name, tensor in public.state_dict().items()})
    whole = public.state_dict()
    parts = {**network.trunk.state_dict(), **network.rest.state_dict()}
    assert set(parts) == {name for name in whole if not name.startswith("logits")}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in parts.items())
    assert torch.equal(network.reduce.weight, before)


def batch_of(seed=0):
    return made_people.pictures(4, seed)


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_a_stream_learns_what_its_boxes_show(stream):
    torch.manual_seed(3)
    config = tuning.Config(stream=stream, size=32, frames=5, features=8, narrow=32, classes=3, persons=2)
    model, batch = tuning.Model(config), batch_of()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss, _ = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    found = model.eval().predict(batch)["actions"]
    assert (found[~batch["box_valid"]] == 0).all()
    padded = batch | {"boxes": torch.where(batch["box_valid"][..., None], batch["boxes"], torch.nan)}
    torch.testing.assert_close(model.predict(padded)["actions"], found)


def test_weights_that_cannot_be_read_are_a_sentence(tmp_path):
    config = tuning.Config(size=32, frames=5, features=8, narrow=32, classes=3, weights=str(tmp_path / "none"))
    with pytest.raises(SessionError, match=r"hgrnn_features\.weights must name a file"):
        tuning.Model(config).begin()
