"""CCAU's parts once more, slowly and plainly: numpy, float64, loops, one clip at a time."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv3d(x, weight, stride, padding):
    """(C, T, H, W) by loops over the output's places; stride and padding for each of the three sides."""
    _, _, kt, kh, kw = weight.shape
    padded = np.pad(x, ((0, 0), *((p, p) for p in padding)))
    size = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], (kt, kh, kw), stride, strict=True)]
    out = np.zeros((len(weight), *size))
    for t, i, j in np.ndindex(*size):
        a, b, c = t * stride[0], i * stride[1], j * stride[2]
        patch = padded[:, a : a + kt, b : b + kh, c : c + kw]
        out[:, t, i, j] = [(patch * kernel).sum() for kernel in weight]
    return out


def norm(x, state, name):
    """Batch norm with running statistics over the first axis of any map."""
    sides = (slice(None), *[None] * (x.ndim - 1))
    mean, var = state[f"{name}.running_mean"][sides], state[f"{name}.running_var"][sides]
    return (x - mean) / np.sqrt(var + 1e-5) * state[f"{name}.weight"][sides] + state[f"{name}.bias"][sides]


def pool_sides(x):
    """3x3 maximum with stride 2 and padding 1 over the last two sides of (C, T, H, W)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = ((n - 1) // 2 + 1 for n in x.shape[2:])
    out = np.empty((*x.shape[:2], height, width))
    for i, j in np.ndindex(height, width):
        out[:, :, i, j] = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(2, 3))
    return out


def _conv(x, state, name, stride, solid):
    weight = state[f"{name}.weight"]
    steps = (stride if solid else 1, stride, stride)
    return conv3d(x, weight, steps, tuple(k // 2 for k in weight.shape[2:]))


def block(x, state, name, stride, solid, rectified):
    """A residual block, basic or bottleneck by what its weights are."""
    if f"{name}.conv3.weight" in state:
        y = np.maximum(norm(_conv(x, state, f"{name}.conv1", 1, solid), state, f"{name}.bn1"), 0)
        y = np.maximum(norm(_conv(y, state, f"{name}.conv2", stride, solid), state, f"{name}.bn2"), 0)
        y = norm(_conv(y, state, f"{name}.conv3", 1, solid), state, f"{name}.bn3")
    else:
        y = np.maximum(norm(_conv(x, state, f"{name}.conv1", stride, solid), state, f"{name}.bn1"), 0)
        y = norm(_conv(y, state, f"{name}.conv2", 1, solid), state, f"{name}.bn2")
    if f"{name}.downsample.0.weight" in state:
        x = norm(_conv(x, state, f"{name}.downsample.0", stride, solid), state, f"{name}.downsample.1")
    return np.maximum(x + y, 0) if rectified else x + y


def resnet2d3d(x, state, counts=(2, 2, 2, 2)):
    """(3, T, H, W) to the last map."""
    x = conv3d(x, state["conv1.weight"], (1, 2, 2), (0, 3, 3))
    x = pool_sides(np.maximum(norm(x, state, "bn1"), 0))
    for layer, count in enumerate(counts, start=1):
        for i in range(count):
            stride = 2 if i == 0 and layer > 1 else 1
            last = layer == 4 and i == count - 1
            x = block(x, state, f"layer{layer}.{i}", stride, layer > 2, not last)
    return x


def convgru(maps, state, h=None):
    """(N, C, h, w) to all states, every gate of every cell of every step by itself."""
    gates = {}
    for name in ("reset", "update", "out"):
        weight = state[f"cell_list.0.{name}_gate.weight"][:, :, 0, 0]
        gates[name] = weight, state[f"cell_list.0.{name}_gate.bias"]
    hidden = len(gates["out"][1])
    h = np.zeros((hidden, *maps.shape[2:])) if h is None else h
    states = []
    for x in maps:
        after = np.zeros_like(h)
        for i, j in np.ndindex(*maps.shape[2:]):
            both = np.concatenate([x[:, i, j], h[:, i, j]])
            reset = sigmoid(gates["reset"][0] @ both + gates["reset"][1])
            update = sigmoid(gates["update"][0] @ both + gates["update"][1])
            both = np.concatenate([x[:, i, j], reset * h[:, i, j]])
            candidate = np.tanh(gates["out"][0] @ both + gates["out"][1])
            after[:, i, j] = (1 - update) * h[:, i, j] + update * candidate
        h = after
        states.append(h)
    return np.array(states)


def linear(x, state, name):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def attention(grid, state, name):
    """Weights (h, w) of the cells of (C, h, w)."""
    _, height, width = grid.shape
    each = []
    for i, j in np.ndindex(height, width):
        hidden = np.maximum(linear(grid[:, i, j], state, f"{name}.projection.0"), 0)
        each.append(linear(hidden, state, f"{name}.projection.2"))
    hidden = np.maximum(linear(np.concatenate(each), state, f"{name}.attention.0"), 0)
    raised = np.exp(linear(hidden, state, f"{name}.attention.2"))
    return (raised / raised.sum()).reshape(height, width)


def pooled(grid, weights):
    return sum(weights[i, j] * grid[:, i, j] for i, j in np.ndindex(*weights.shape))


def head(context, state, name):
    return linear(np.maximum(linear(context, state, f"{name}.0"), 0), state, f"{name}.3")


def video_tower(blocks, state):
    """(N, 3, K, S, S) normalised to the last context's map, its weights and both logits."""
    backbone = {n.removeprefix("backbone."): t for n, t in state.items() if n.startswith("backbone.")}
    agg = {n.removeprefix("agg."): t for n, t in state.items() if n.startswith("agg.")}
    features = np.array([np.maximum(resnet2d3d(b, backbone), 0).mean(axis=1) for b in blocks])
    grid = convgru(features, agg)[-1]
    weights = attention(grid, state, "attention_fn")
    context = norm(pooled(grid, weights), state, "final_bn")
    return grid, weights, head(context, state, "final_fc_video"), head(context, state, "final_fc_atomic")


def vgg(picture, state):
    """(3, rows, mels) through the convolutions and poolings as ``features`` numbers them."""
    last = max(int(n.split(".")[1]) for n in state if n.startswith("features."))
    x, i = picture, 0
    while i <= last + 2:
        if f"features.{i}.weight" in state:
            weight = state[f"features.{i}.weight"]
            x = conv3d(x[:, None], weight[:, :, None], (1, 1, 1), (0, 1, 1))[:, 0]
            x = x + state[f"features.{i}.bias"][:, None, None]
            x = np.maximum(norm(x, state, f"features.{i + 1}"), 0)
            i += 3
        else:
            height, width = x.shape[1] // 2, x.shape[2] // 2
            x = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2).max(axis=(2, 4))
            i += 1
    return linear(x.ravel(), state, "flatten.0")
