"""Made boxes, strange ones, and loops that follow the definitions, in float64."""

from __future__ import annotations

import math

import numpy as np
import torch

NAN, INF = math.nan, math.inf
STRANGE = torch.tensor(
    [
        [NAN, 0.1, 0.5, 0.5],
        [0.1, 0.1, INF, 0.5],
        [0.3, 0.3, 0.3, 0.6],  # a line
        [0.3, 0.3, 0.3, 0.3],  # a point
        [0.6, 0.2, 0.2, 0.6],  # inside out
    ],
    dtype=torch.float64,
)


def made(seed, *lead, spread=1.0):
    """Boxes of all sizes, some of them reaching beyond the picture by `spread` - 1."""
    rng = torch.Generator().manual_seed(seed)
    corner = torch.rand(*lead, 2, generator=rng, dtype=torch.float64) * spread - (spread - 1) / 2
    size = torch.rand(*lead, 2, generator=rng, dtype=torch.float64) * 0.5 + 0.02
    return torch.cat([corner, corner + size], dim=-1)


def plain_overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain_suppression(boxes, scores, threshold, most):
    order, kept = sorted(range(len(boxes)), key=lambda i: -scores[i]), []
    for i in order:
        if len(kept) < most and all(plain_overlap(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


def plain_crop(image, box, cells):
    """`crop_and_resize` for one map (C, H, W), a point at a time."""
    _, height, width = image.shape
    out = np.zeros((len(image), cells, cells))
    for i in range(cells):
        for j in range(cells):
            y = (box[1] + (box[3] - box[1]) * i / (cells - 1)) * (height - 1)
            x = (box[0] + (box[2] - box[0]) * j / (cells - 1)) * (width - 1)
            if not (0 <= y <= height - 1 and 0 <= x <= width - 1):
                continue
            top, left = min(int(y), height - 2), min(int(x), width - 2)
            v, u = y - top, x - left
            upper = (1 - u) * image[:, top, left] + u * image[:, top, left + 1]
            lower = (1 - u) * image[:, top + 1, left] + u * image[:, top + 1, left + 1]
            out[:, i, j] = (1 - v) * upper + v * lower
    return out
