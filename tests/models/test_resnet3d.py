"""The ResNet 2d3d against loops in float64, its counts, its names."""

from __future__ import annotations

import ccau_reference as reference
import numpy as np
import pytest
import torch
from test_resnet import plain

import models
from firmware_host.errors import ConfigError
from models.resnet3d import BLOCKS, BasicBlock, Bottleneck, ResNet2d3d

SMALL = {"widths": (2, 3, 3, 2)}


def lived_in(module):
    """Batch norm with statistics and scales that are not 0 and 1, in float64 and eval mode."""
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.uniform_(0.5, 1.5)
    return module.double().eval()


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
@pytest.mark.parametrize(("inputs", "stride", "solid"), [(3, 1, False), (2, 2, False), (3, 1, True), (2, 2, True)])
@pytest.mark.parametrize("rectified", [True, False])
def test_blocks_equal_loops(kind, inputs, stride, solid, rectified):
    torch.manual_seed(1)
    module = lived_in(kind(inputs, 3, stride, solid, rectified))
    x = torch.randn(inputs, 3, 5, 6, dtype=torch.float64)
    state = {f"b.{name}": tensor for name, tensor in plain(module).items()}
    expected = reference.block(x.numpy(), state, "b", stride, solid, rectified)
    np.testing.assert_allclose(module(x[None])[0].detach().numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("depth", [18, 50])
def test_whole_network_equals_loops(depth):
    torch.manual_seed(2)
    module = lived_in(ResNet2d3d(depth, **SMALL))
    last = module.layer4[-1]
    (last.bn2 if depth == 18 else last.bn3).bias.data -= 20  # so that rectifying at the end would show
    x = torch.randn(3, 5, 21, 17, dtype=torch.float64)  # odd, so that wrong padding shows
    expected = reference.resnet2d3d(x.numpy(), plain(module), BLOCKS[depth])
    assert (expected < 0).any()
    np.testing.assert_allclose(module(x[None])[0].detach().numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("depth", [18, 50])
def test_use_equals_training_with_the_same_statistics(depth):
    """Training has a path of its own; with batch norm in use it must give the same."""
    torch.manual_seed(4)
    module = lived_in(ResNet2d3d(depth, **SMALL))
    x = torch.randn(2, 3, 5, 21, 17, dtype=torch.float64)
    used = module(x)
    module.training = True  # its own flag alone: the norms stay as they are used
    torch.testing.assert_close(module(x), used)
    module.train()
    assert not torch.allclose(module(x), used)


@pytest.mark.parametrize(("depth", "count"), [(18, 14_057_536), (34, 32_422_208), (50, 23_562_304)])
def test_parameters_are_the_published_ones(depth, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet2d3d(depth).parameters()) == count


def test_shape_table_of_the_docstring():
    shapes = {}
    with torch.device("meta"):
        module = ResNet2d3d()
        for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            getattr(module, name).register_forward_hook(
                lambda _, __, output, name=name: shapes.update({name: tuple(output.shape[1:])})
            )
        module(torch.empty(1, 3, 5, 128, 128))
    assert shapes == {
        "conv1": (64, 5, 64, 64),
        "maxpool": (64, 5, 32, 32),
        "layer1": (64, 5, 32, 32),
        "layer2": (128, 5, 16, 16),
        "layer3": (256, 3, 8, 8),
        "layer4": (256, 2, 4, 4),
    }


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_public_names_load(depth):
    torch.manual_seed(3)
    source = ResNet2d3d(depth, **SMALL)
    published = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    loaded = models.load_reference(f"resnet{depth}_2d3d", published, **SMALL)
    assert not loaded.training
    x = torch.rand(1, 3, 5, 32, 32)
    torch.testing.assert_close(loaded(x), source.eval()(x))
    assert {"conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias"} <= set(source.state_dict())
    with pytest.raises(ConfigError, match=r"missing conv1\.weight"):
        models.load_reference(f"resnet{depth}_2d3d", {}, **SMALL)


def test_depths_that_do_not_exist_are_named():
    with pytest.raises(ConfigError, match="18, 34, 50"):
        ResNet2d3d(20)
