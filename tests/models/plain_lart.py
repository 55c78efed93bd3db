"""LART in plain float64, as its authors' code computes it, and small batches for it."""

from __future__ import annotations

import math

import numpy as np
import torch

from models.lart import Config, Model
from models.lart.tracks import VECTOR

SMALL = Config(
    inputs="pose/appearance",
    people=3,
    pose_hidden=(7,),
    pose_width=8,
    appearance=6,
    appearance_hidden=(5, 5),
    appearance_width=4,
    layers=2,
    heads=2,
    head=5,
    hidden=9,
    dropout=0.0,
    drop_path=0.0,
    classes=4,
)
STEPS = 5


def batch_of(config=SMALL, clips=2, tracks=3, steps=STEPS, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    valid = torch.rand(clips, tracks, steps, generator=rng) > 0.3
    valid[:, 0, 0] = True
    return {
        "tracks": torch.randn(clips, tracks, steps, VECTOR, generator=rng, dtype=dtype),
        "tracks_valid": valid,
        "appearance": torch.randn(clips, tracks, steps, config.appearance, generator=rng, dtype=dtype),
        "joints": torch.randn(clips, tracks, steps, 135, generator=rng, dtype=dtype),
        "track_actions": (torch.rand(clips, tracks, steps, config.classes, generator=rng) > 0.5).to(dtype),
    }


def made(config=SMALL, seed=1):
    torch.manual_seed(seed)
    return Model(config).double().eval()


def plain_state(model):
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def layers_of(x, state, name):
    """Linear layers with ReLU between."""
    for k in range(0, 20, 2):
        if f"{name}.{k}.weight" not in state:
            break
        x = np.maximum(x, 0) if k else x
        x = x @ state[f"{name}.{k}.weight"].T + state[f"{name}.{k}.bias"]
    return x


def norm(x, state, name):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(x, state, name, heads, both, column):
    """The authors' attention for one clip: scores are held, and -1000 where they must not count.

    Args:
        x: (M, width).
        both: (M,) 1 where a token has a detection; a score counts where both have.
        column: (M,) 1 where a token is masked and must not be looked at.
    """
    q, k, v = np.split(x @ state[f"{name}.to_qkv.weight"].T, 3, axis=1)
    outputs = []
    for qh, kh, vh in zip(*(np.split(part, heads, axis=1) for part in (q, k, v)), strict=True):
        scores = qh @ kh.T / math.sqrt(qh.shape[1])
        scores[np.outer(both, both) == 0] = -1e3
        scores[:, column == 1] = -1e3
        weights = np.exp(scores - scores.max(1, keepdims=True))
        outputs.append(weights / weights.sum(1, keepdims=True) @ vh)
    return np.concatenate(outputs, axis=1) @ state[f"{name}.to_out.0.weight"].T + state[f"{name}.to_out.0.bias"]


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def feed_forward(x, state, name):
    hidden = gelu(x @ state[f"{name}.net.0.weight"].T + state[f"{name}.net.0.bias"])
    return hidden @ state[f"{name}.net.3.weight"].T + state[f"{name}.net.3.bias"]


def plain(batch, clip, config, state, hidden, training):
    """Logits (N, T, A) of one clip as the authors' code computes them, in training or in testing."""
    valid = batch["tracks_valid"][clip].numpy()
    zeroed = {n: np.where(valid[..., None], batch[n][clip].numpy(), 0) for n in ("appearance", "joints")}
    vectors = (batch["tracks"][clip].numpy() - state["mean"]) / state["deviation"]
    parts = {
        "pose": ("pose_shape_encoder", np.where(valid[..., None], vectors, 0)),
        "joints": ("joint_encoder", zeroed["joints"]),
        "appearance": ("apperance_encoder", zeroed["appearance"]),
    }
    tokens = np.concatenate([layers_of(parts[p][1], state, parts[p][0]) for p in config.parts], axis=-1)
    if training:
        masked, both = valid & hidden, valid
    else:
        masked, both = ~valid, np.ones_like(valid)
    tokens[masked] = state["mask_token"]
    people, steps, width = tokens.shape
    x = np.zeros((steps * people, width))
    for t in range(steps):
        for i in range(people):
            if config.learned_positions:
                place = state["pos_embedding"][:, t, i]
            else:
                place = plain_position(width, t, i)
            x[t * people + i] = tokens[i, t] + place
    both, masked = both.T.ravel(), masked.T.ravel()
    for layer in range(config.layers):
        first, second = (f"transformer.layers.{layer}.{k}" for k in (0, 1))
        if config.norm == "pre":
            x = x + attention(norm(x, state, f"{first}.norm"), state, f"{first}.fn", config.heads, both, masked)
            x = x + feed_forward(norm(x, state, f"{second}.norm"), state, f"{second}.fn")
        else:
            x = norm(x + attention(x, state, f"{first}.fn", config.heads, both, masked), state, f"{first}.norm")
            x = norm(x + feed_forward(x, state, f"{second}.fn"), state, f"{second}.norm")
    logits = x @ state["action_head_ava.0.0.weight"].T + state["action_head_ava.0.0.bias"]
    return logits.reshape(steps, people, -1).transpose(1, 0, 2)


def plain_position(width, step, track):
    """The paper's: time in the first half."""
    place = np.zeros(width)
    for start, index in ((0, step), (width // 2, track)):
        for k in range(width // 4):
            angle = index / 10000 ** (4 * k / width)
            place[start + 2 * k], place[start + 2 * k + 1] = math.sin(angle), math.cos(angle)
    return place
