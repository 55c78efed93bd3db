import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from firmware_host.errors import ConfigError, SessionError
from models.features import I3dBackbone, Stream, _read
from models.hgrnn.features import FeatureNet, features_of, flow
from models.i3d import scaled


def test_a_tuned_network_gives_what_hgrnn_would_store(tmp_path):
    torch.manual_seed(0)
    network = FeatureNet(classes=3, features=12, narrow=16).eval()
    save_file(network.state_dict(), tmp_path / "tuned.safetensors")
    tensors, key = _read(tmp_path / "tuned.safetensors")
    assert key == hashlib.sha256((tmp_path / "tuned.safetensors").read_bytes()).hexdigest()
    backbone = I3dBackbone([Stream(tensors)], key, size=64, step_ns=1, frames=9)
    frames = np.random.default_rng(0).integers(0, 256, (9, 3, 64, 64), dtype=np.uint8)
    boxes = np.float32([[0.1, 0.1, 0.6, 0.9], [0.5, 0.2, 0.9, 0.8]])
    scene, persons = backbone(frames, boxes)
    clip, where = scaled(torch.from_numpy(frames)[None]), torch.from_numpy(boxes)[None]
    true = features_of(network, clip, where, torch.ones(1, 2, dtype=torch.bool))
    np.testing.assert_allclose(scene, true[0][0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(persons, true[1][0].numpy(), rtol=1e-5, atol=1e-6)
    assert backbone.dims == 12
    assert backbone(frames, boxes[:0])[1].shape == (0, 12)


def test_flow_is_a_second_stream_beside_the_first():
    torch.manual_seed(0)
    rgb, moved = (FeatureNet(3, channels, features=12, narrow=16).eval() for channels in (3, 2))
    streams = [Stream(net.state_dict()) for net in (rgb, moved)]
    backbone = I3dBackbone(streams, "both", size=64, step_ns=1, frames=9)
    assert [stream.channels for stream in streams] == [3, 2]
    assert backbone.dims == 24
    frames = np.random.default_rng(0).integers(0, 256, (9, 3, 64, 64), dtype=np.uint8)
    frames[1:] = np.stack([np.roll(frames[0], 3 * k, axis=-1) for k in range(1, 9)])
    boxes = np.float32([[0.1, 0.1, 0.6, 0.9]])
    scene, persons = backbone(frames, boxes)
    alone = I3dBackbone(streams[:1], "one", size=64, step_ns=1, frames=9)(frames, boxes)
    np.testing.assert_array_equal(scene[:12], alone[0])
    np.testing.assert_array_equal(persons[:, :12], alone[1])
    seen = flow(frames.transpose(0, 2, 3, 1))
    assert float(seen[0].median()) == pytest.approx(3 / 20, abs=0.02)  # to the right by three pixels of twenty
    true = features_of(moved, seen[None], torch.from_numpy(boxes)[None], torch.ones(1, 1, dtype=torch.bool))
    np.testing.assert_allclose(scene[12:], true[0][0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(persons[:, 12:], true[1][0].numpy(), rtol=1e-5, atol=1e-6)


def test_weights_of_something_else_are_refused():
    with pytest.raises(ConfigError, match="no first layer of an I3D"):
        Stream({"conv1.weight": torch.zeros(64, 3, 7, 7)})


def test_what_is_no_file_of_weights_is_said(tmp_path):
    with pytest.raises(SessionError, match="does not exist"):
        _read(tmp_path / "gone.pt")
    (tmp_path / "bad.pt").write_bytes(b"not weights")
    with pytest.raises(SessionError, match="cannot be read as weights"):
        _read(tmp_path / "bad.pt")
    torch.save({"step": 3}, tmp_path / "odd.pt")
    with pytest.raises(ConfigError, match="no plain dictionary"):
        _read(tmp_path / "odd.pt")
