"""I3D against loops in float64, its counts and shapes, and both public namings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from firmware_host.errors import ConfigError
from models import i3d
from models.i3d import I3D, LAYERS

BRANCHES = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1", "b2a": "branch_2.0", "b2b": "branch_2.1"}
BRANCHES["b3b"] = "branch_3.1"


def padded(x, kernel, stride, value):
    """SAME: the output has ceil(n / stride) cells; the odd cell goes after."""
    pads = [(0, 0)]
    for n, k, s in zip(x.shape[1:], kernel, stride, strict=True):
        outputs = (n + s - 1) // s
        total = max((outputs - 1) * s + k - n, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, pads, constant_values=value)


def patches(x, kernel, stride):
    """Each output place of a padded (C, T, H, W), with the patch it sees."""
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel, stride, strict=True)]
    for place in np.ndindex(*counts):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True))
        yield counts, place, x[(slice(None), *window)]


def conv(x, state, name, stride=(1, 1, 1)):
    """Convolution, batch norm and ReLU as published."""
    weight = state[f"{name}.conv3d.weight"]
    kernel = weight.shape[2:]
    out = None
    for counts, place, patch in patches(padded(x, kernel, stride, 0), kernel, stride):
        out = np.zeros((len(weight), *counts)) if out is None else out
        out[(slice(None), *place)] = np.tensordot(weight, patch, axes=4)
    scale = state[f"{name}.bn.weight"] / np.sqrt(state[f"{name}.bn.running_var"] + 1e-3)
    shift = state[f"{name}.bn.bias"] - state[f"{name}.bn.running_mean"] * scale
    return np.maximum(out * scale[:, None, None, None] + shift[:, None, None, None], 0)


def pool(x, kernel, stride):
    out = None
    for counts, place, patch in patches(padded(x, kernel, stride, -np.inf), kernel, stride):
        out = np.zeros((len(x), *counts)) if out is None else out
        out[(slice(None), *place)] = patch.max((1, 2, 3))
    return out


def mixed(x, state, name):
    cube, one = (3, 3, 3), (1, 1, 1)
    return np.concatenate(
        [
            conv(x, state, f"{name}.b0"),
            conv(conv(x, state, f"{name}.b1a"), state, f"{name}.b1b"),
            conv(conv(x, state, f"{name}.b2a"), state, f"{name}.b2b"),
            conv(pool(x, cube, one), state, f"{name}.b3b"),
        ]
    )


def whole(x, state):
    """All of I3D up to its last map, for one clip (C, T, H, W)."""
    x = conv(x, state, "Conv3d_1a_7x7", (2, 2, 2))
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = conv(conv(x, state, "Conv3d_2b_1x1"), state, "Conv3d_2c_3x3")
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = mixed(mixed(x, state, "Mixed_3b"), state, "Mixed_3c")
    x = pool(x, (3, 3, 3), (2, 2, 2))
    for block in "bcdef":
        x = mixed(x, state, f"Mixed_4{block}")
    x = pool(x, (2, 2, 2), (2, 2, 2))
    return mixed(mixed(x, state, "Mixed_5b"), state, "Mixed_5c")


def lived_in(module):
    """Give batch norm statistics and scales that are not 0 and 1, in float64 and eval mode."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.uniform_(0.5, 1.5)
    return module.double().eval()


def plain(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return lived_in(I3D(classes=5, narrow=32))


def test_whole_network_equals_loops(small):
    torch.manual_seed(1)
    clip = torch.randn(3, 9, 35, 49, dtype=torch.float64)  # odd, so that symmetric padding shows
    maps = whole(clip.numpy(), plain(small))
    found = small.maps(clip[None])[0].detach().numpy()
    assert found.shape == (32, 2, 2, 2)
    np.testing.assert_allclose(found, maps, atol=1e-9)
    weight, bias = (small.logits.conv3d.get_parameter(p).detach().numpy() for p in ("weight", "bias"))
    logits = weight[:, :, 0, 0, 0] @ maps.mean((1, 2, 3)) + bias  # 2 x 2 x 2 cells: one window
    np.testing.assert_allclose(small(clip[None])[0].detach().numpy(), logits, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_same_padding_gives_the_ceiling_and_puts_the_odd_cell_after(size, kernel, stride):
    x = torch.ones(1, 1, 1, size)
    found = i3d.same(x, (1, 1, kernel), (1, 1, stride))[0, 0, 0]
    expected = padded(np.ones((1, 1, 1, size)), (1, 1, kernel), (1, 1, stride), 0)[0, 0, 0]
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(("inputs", "count"), [(3, 12_697_264), (2, 12_675_312)])
def test_parameters_are_those_published(inputs, count):
    with torch.device("meta"):
        module = I3D(inputs=inputs)
    assert parameters(module) == count
    assert len(module.state_dict()) == 344
    assert parameters(module.Mixed_5b) == 1_974_272
    assert parameters(module.Mixed_5c) == 2_784_736
    assert parameters(module.logits) == 410_000


def test_the_trunk_and_what_it_leaves_over_are_the_whole():
    with torch.device("meta"):
        trunk, tail = I3D(0, last="Mixed_4f"), I3D(0, inputs=832, first="MaxPool3d_5a_2x2")
        maps = trunk.maps(torch.empty(1, 3, 64, 400, 400))
        assert parameters(trunk) == 7_528_256
        assert parameters(tail) == 1_974_272 + 2_784_736
        assert maps.shape == (1, 832, 16, 25, 25)
        assert tail(maps).shape == (1, 1024)
        names = {*trunk.state_dict(), *tail.state_dict()}
        assert names == {n for n in I3D().state_dict() if not n.startswith("logits")}


def test_shape_table_of_the_docstring():
    with torch.device("meta"):
        module, x, seen = I3D(), torch.empty(1, 3, 64, 400, 400), {}
        for name in LAYERS:
            x = module.get_submodule(name)(x)
            seen[name] = x.shape[1:]
    assert seen["Conv3d_1a_7x7"] == (64, 32, 200, 200)
    assert seen["MaxPool3d_2a_3x3"] == seen["Conv3d_2b_1x1"] == (64, 32, 100, 100)
    assert seen["MaxPool3d_3a_3x3"] == (192, 32, 50, 50)
    assert (seen["Mixed_3b"][0], *seen["Mixed_3c"]) == (256, 480, 32, 50, 50)
    assert seen["MaxPool3d_4a_3x3"] == (480, 16, 25, 25)
    assert [seen[f"Mixed_4{block}"][0] for block in "bcdef"] == [512, 512, 512, 528, 832]
    assert seen["MaxPool3d_5a_2x2"] == (832, 8, 13, 13)
    assert (seen["Mixed_5b"][0], *seen["Mixed_5c"]) == (832, 1024, 8, 13, 13)


def test_work_of_the_trunk_is_that_counted():
    """697 GFLOP for a clip of 64 x 400 x 400, two for each multiplication and addition."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        I3D(0, last="Mixed_4f").maps(torch.empty(1, 3, 64, 400, 400))
    assert counter.get_total_flops() / 1e9 == pytest.approx(697.0, abs=0.1)


def test_public_names_load(small):
    published = {f"module.{k}": v for k, v in small.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert {"module.Mixed_4f.b1a.bn.running_var", "module.logits.conv3d.bias"} <= set(published)
    loaded = models.load_reference("i3d", published, classes=5, narrow=32).double()
    clips = torch.rand(1, 3, 8, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(loaded(clips), small(clips), atol=1e-5, rtol=0)


def other_name(name):
    """A name of pytorch-i3d in the other public naming."""
    if name.startswith("logits."):
        return name.replace("logits.", "conv3d_0c_1x1.")
    layer, *middle, part, leaf = name.split(".")
    return ".".join([layer[0].lower() + layer[1:], *(BRANCHES[m] for m in middle), part.replace("bn", "batch3d"), leaf])


def test_the_other_public_names_load(small):
    published = {other_name(k): v for k, v in small.state_dict().items()}
    assert {"conv3d_1a_7x7.batch3d.running_mean", "mixed_3b.branch_3.1.conv3d.weight"} <= set(published)
    assert not set(published) & set(small.state_dict())
    loaded = models.load_reference("i3d", published, classes=5, narrow=32)
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, small.state_dict()[name].to(tensor.dtype))


def test_names_that_do_not_fit_are_told(small):
    published = dict(small.state_dict())
    del published["Mixed_5c.b3b.conv3d.weight"]
    with pytest.raises(ConfigError, match=r"missing Mixed_5c\.b3b\.conv3d\.weight"):
        models.load_reference("i3d", published, classes=5, narrow=32)
    with pytest.raises(ConfigError, match="did you mean 'Mixed_4f'"):
        I3D(last="mixed_4f")


def test_bytes_and_fractions_are_scaled_alike():
    frames = torch.randint(0, 256, (2, 4, 3, 5, 6), dtype=torch.uint8)
    found = i3d.scaled(frames)
    assert found.shape == (2, 3, 4, 5, 6)
    torch.testing.assert_close(found, i3d.scaled(frames.float() / 255))
    assert i3d.scaled(torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1)).flatten().tolist() == [-1, 1]
