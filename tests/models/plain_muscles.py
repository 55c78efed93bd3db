"""Muscles in plain float64, as its authors' code computes it, and small batches for it."""

from __future__ import annotations

import numpy as np
import torch
from test_resnet import conv, maps

from models.muscles import Config

SMALL = Config(size=33, frames=3, widths=(2, 3, 3, 4), channels=2, hidden=5, layers=2, unembed=4, embedding=6, queue=8)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, state, name, layers, start=None):
    """An LSTM over (T, D): gates in the order input, forget, cell, output. Gives outputs and (h, c) per layer."""
    end = []
    for layer in range(layers):
        w, u = state[f"{name}.weight_ih_l{layer}"], state[f"{name}.weight_hh_l{layer}"]
        bias = state[f"{name}.bias_ih_l{layer}"] + state[f"{name}.bias_hh_l{layer}"]
        h, c = start[layer] if start else (np.zeros(u.shape[1]), np.zeros(u.shape[1]))
        rows = []
        for row in x:
            i, f, g, o = np.split(w @ row + u @ h + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            rows.append(h)
        x, end = np.array(rows), [*end, (h, c)]
    return x, end


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def branch(features, state, pointwise, encoder, decoder, head, layers):
    """One task for one clip: features (T, C, h, w) -> (T, outputs)."""
    sequence = []
    for feature in features:
        cells = conv(feature, state[f"{pointwise}.0.weight"], 1, 0)
        sequence.append(leaky(cells + state[f"{pointwise}.0.bias"][:, None, None]).ravel())
    _, end = lstm(sequence, state, encoder, layers)
    states, _ = lstm(sequence, state, decoder, layers, start=end)
    hidden = leaky(states @ state[f"{head}.0.0.weight"].T + state[f"{head}.0.0.bias"])
    return hidden @ state[f"{head}.1.0.weight"].T + state[f"{head}.1.0.bias"]


def scaled(frames):
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return (frames - mean[:, None, None]) / deviation[:, None, None]


def outputs(frames, state, layers, shared=False):
    """The published forward pass for one clip (T, 3, S, S) in [0, 1]; the authors share one 1x1 convolution."""
    features = [maps(scaled(frame), state, "feature_extractor.resnet.") for frame in frames]
    gaze = branch(features, state, "pointwise_conv", "lstm", "decoder_lstm", "gaze_unembed", layers)
    conv_of_move = "pointwise_conv" if shared else "imu_pointwise_conv"
    move = branch(features, state, conv_of_move, "imu_lstm", "imu_decoder_lstm", "imu_unembed", layers)
    return gaze, move


def batch_of(config, clips=4, seed=0):
    rng = torch.Generator().manual_seed(seed)
    shape = (clips, config.frames)

    def rand(*size):
        return torch.rand(*size, generator=rng)

    return {
        "frames": rand(*shape, 3, config.size, config.size),
        "gaze": rand(*shape, 2),
        "gaze_valid": rand(*shape) > 0.3,
        "move": (rand(*shape, config.groups) > 0.5).float(),
        "move_valid": rand(*shape, config.groups) > 0.3,
        "query": rand(clips, 3, config.size, config.size),
        "key": rand(clips, 3, config.size, config.size),
    }


def parameters(module, trained=False):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)
