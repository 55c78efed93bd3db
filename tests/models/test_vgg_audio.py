"""The audio encoder and the scene graph's perceptron against loops, their counts and names."""

from __future__ import annotations

import ccau_reference as reference
import numpy as np
import pytest
import torch
from test_resnet import plain
from test_resnet3d import lived_in

import models
from firmware_host.errors import ConfigError
from models.scenegraph import SceneGraphMLP
from models.vgg_audio import VggAudio

SMALL = {"rows": 70, "mels": 64, "outputs": 3, "widths": (2, 2, 3, 2, 3), "convolutions": (1, 1, 2, 1, 1)}


def test_it_equals_loops():
    torch.manual_seed(0)
    module = lived_in(VggAudio(**SMALL))
    sound = torch.randn(70, 64, dtype=torch.float64)
    expected = reference.vgg(np.repeat(sound.numpy()[None], 3, axis=0), plain(module))
    np.testing.assert_allclose(module(sound[None])[0].detach().numpy(), expected, atol=1e-9)


def test_count_and_shapes_of_the_docstring():
    with torch.device("meta"):
        module = VggAudio()
        pools = []
        for layer in module.features:
            if isinstance(layer, torch.nn.MaxPool2d):
                layer.register_forward_hook(lambda _, __, output: pools.append(tuple(output.shape[1:])))
        assert module(torch.empty(2, 344, 128)).shape == (2, 256)
    assert sum(p.numel() for p in module.parameters()) == 25_019_456
    sides = [(64, 172, 64), (128, 86, 32), (256, 43, 16), (512, 21, 8), (512, 10, 4), (512, 5, 2), (512, 2, 1)]
    assert pools == sides


def test_public_names_load_and_heads_are_left_out():
    source = VggAudio(**SMALL)
    assert {"features.0.weight", "features.1.running_mean", "flatten.0.bias"} <= set(source.state_dict())
    published = {f"module.{n}": t for n, t in source.state_dict().items()} | {"final_fc.0.weight": torch.zeros(1)}
    loaded = models.load_reference("vgg_audio", published, **SMALL)
    x = torch.rand(1, 70, 64)
    torch.testing.assert_close(loaded(x), source.eval()(x))


def test_a_picture_too_small_is_refused():
    with pytest.raises(ConfigError, match="rows must be at least 32"):
        VggAudio(rows=20)


def test_scene_graph_equals_loops():
    torch.manual_seed(0)
    module = SceneGraphMLP(4, 3, hidden=5, outputs=2).double().eval()
    graph = (torch.rand(2, 3, 4, 3) > 0.7).float()
    state = {n: t.numpy() for n, t in module.state_dict().items()}
    for clip in range(2):
        held = np.zeros(12)
        for f, o, r in np.argwhere(graph[clip].numpy() > 0):
            held[3 * o + r] = 1 + 0 * f
        hidden = np.maximum(reference.linear(held, state, "layers.0"), 0)
        expected = reference.linear(hidden, state, "layers.3")
        np.testing.assert_allclose(module(graph.double())[clip].detach().numpy(), expected, atol=1e-9)
