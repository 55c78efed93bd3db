"""ResNet-18 against loops in float64, its counts, and its public names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from firmware_host.errors import ConfigError
from models.resnet import BasicBlock, ResNet18


def conv(x, weight, stride, padding):
    """Convolution of (C, H, W) by loops over the kernel's positions."""
    out_channels, _, k, _ = weight.shape
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height = (padded.shape[1] - k) // stride + 1
    width = (padded.shape[2] - k) // stride + 1
    out = np.zeros((out_channels, height, width))
    for i in range(height):
        for j in range(width):
            patch = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
            for o in range(out_channels):
                out[o, i, j] = (patch * weight[o]).sum()
    return out


def norm(x, state, name):
    """Batch norm with running statistics."""
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scaled = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    return scaled * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def pool(x):
    """3x3 maximum, stride 2, padding 1."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    size = [(n + 2 - 3) // 2 + 1 for n in x.shape[1:]]
    return np.array(
        [
            [[c[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(size[1])] for i in range(size[0])]
            for c in padded
        ]
    )


def block(x, state, name, stride):
    y = np.maximum(norm(conv(x, state[f"{name}.conv1.weight"], stride, 1), state, f"{name}.bn1"), 0)
    y = norm(conv(y, state[f"{name}.conv2.weight"], 1, 1), state, f"{name}.bn2")
    if f"{name}.downsample.0.weight" in state:
        x = norm(conv(x, state[f"{name}.downsample.0.weight"], stride, 0), state, f"{name}.downsample.1")
    return np.maximum(x + y, 0)


def maps(x, state, prefix="", strides=(1, 2, 2, 2)):
    """All of ResNet-18 up to the last map, for one image (3, H, W)."""
    state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    x = pool(np.maximum(norm(conv(x, state["conv1.weight"], 2, 3), state, "bn1"), 0))
    for layer, stride in enumerate(strides, start=1):
        x = block(x, state, f"layer{layer}.0", stride)
        x = block(x, state, f"layer{layer}.1", 1)
    return x


def lived_in(module):
    """Give batch norm statistics and scales that are not 0 and 1, in float64 and eval mode."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.uniform_(0.5, 1.5)
    return module.double().eval()


def plain(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(3, 3, 1), (2, 4, 1), (3, 5, 2)])
def test_basic_block_equals_loops(inputs, outputs, stride):
    torch.manual_seed(1)
    module = lived_in(BasicBlock(inputs, outputs, stride))
    x = torch.randn(inputs, 7, 6, dtype=torch.float64)
    state = {f"b.{k}": v for k, v in plain(module).items()}
    np.testing.assert_allclose(module(x[None])[0].detach().numpy(), block(x.numpy(), state, "b", stride), atol=1e-9)


def test_whole_network_equals_loops():
    torch.manual_seed(2)
    module = lived_in(ResNet18(widths=(2, 3, 4, 5), classes=7))
    x = torch.randn(3, 37, 33, dtype=torch.float64)  # odd, so that wrong padding shows
    expected = maps(x.numpy(), plain(module))
    np.testing.assert_allclose(module.maps(x[None])[0].detach().numpy(), expected, atol=1e-9)
    logits = module.fc.weight.detach().numpy() @ expected.mean((1, 2)) + module.fc.bias.detach().numpy()
    np.testing.assert_allclose(module(x[None])[0].detach().numpy(), logits, atol=1e-9)


@pytest.mark.parametrize(("classes", "count"), [(1000, 11_689_512), (0, 11_176_512)])
def test_parameters_are_those_of_torchvision(classes, count):
    with torch.device("meta"):
        module = ResNet18(classes=classes)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == (122 if classes else 120)


def test_shape_table_of_the_docstring():
    with torch.device("meta"):
        module = ResNet18()
        shapes = {}
        for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            getattr(module, name).register_forward_hook(
                lambda part, _, output, name=name: shapes.update({name: tuple(output.shape[1:])})  # noqa: ARG005
            )
        logits = module(torch.empty(1, 3, 224, 224))
    assert shapes == {
        "conv1": (64, 112, 112),
        "maxpool": (64, 56, 56),
        "layer1": (64, 56, 56),
        "layer2": (128, 28, 28),
        "layer3": (256, 14, 14),
        "layer4": (512, 7, 7),
    }
    assert logits.shape == (1, 1000)


def test_public_names_load():
    small = {"widths": (2, 2, 3, 3), "classes": 4}
    torch.manual_seed(3)
    source = ResNet18(**small)
    loaded = models.load_reference("resnet18", {f"module.{k}": v for k, v in source.state_dict().items()}, **small)
    assert not loaded.training
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(x), source.eval()(x))
    names = set(source.state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias", "fc.bias"} <= names


def test_old_files_without_batch_counts_load():
    source = ResNet18(widths=(2, 2, 2, 2), classes=1)
    old = {k: v for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")}
    models.load_reference("resnet18", old, widths=(2, 2, 2, 2), classes=1)


def test_names_and_shapes_that_do_not_fit_are_told():
    state = ResNet18(widths=(2, 2, 2, 2), classes=3).state_dict()
    del state["layer1.0.conv1.weight"]
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(ConfigError, match=r"missing layer1\.0\.conv1\.weight; unexpected head\.weight; .*fc\.weight"):
        models.load_reference("resnet18", state, widths=(2, 2, 2, 2), classes=5)
    with pytest.raises(ConfigError, match="did you mean 'resnet18'"):
        models.load_reference("resnet", {})
