"""Pictures of what an Action Transformer does: where a person looks, and what its keys hold alike (figure 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.vat.heads import Heads

DARKEST = 0.25
VEIL = 0.6


@torch.no_grad()
def looked(heads: Heads, maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """What the last layer does at the moment that is judged.

    Args:
        heads: with an Action Transformer.
        maps: (B, C, T, H, W) of the trunk.
        boxes: (B, 4), one person of each clip.

    Returns:
        attention (B, H, W), the mean over the heads, of which the whole clip's sums to 1.
        embedding (B, heads, H, W, 3) in [0, 1]: each head's keys as colours. The colours are the three directions in
        which the keys of the clip differ most, so equal colours are equal keys; they compare within one clip alone.
    """
    assert heads.transformer is not None
    placed, cells = heads.placed(maps, boxes[:, None])
    middle = maps.shape[2] // 2
    attention = heads.transformer.attention(placed, cells)[:, 0, -1].mean(1)  # (B, T, H, W)
    keys = heads.transformer.remembered(placed)[0][-1]  # (B, heads, N, D)
    colours = principal(keys).unflatten(2, maps.shape[2:])  # (B, heads, T, H, W, 3)
    return attention[:, middle], colours[:, :, middle]


def principal(vectors: Tensor) -> Tensor:
    """(..., N, D) -> (..., N, 3) in [0, 1]: the three principal components, each from its least to its largest value.

    Which end of a component is 1 is settled by its skew; without it, the same vectors could come out in other colours.
    """
    centred = vectors.double() - vectors.double().mean(-2, keepdim=True)
    _, axes = torch.linalg.eigh(centred.transpose(-1, -2) @ centred)  # by rising eigenvalue
    parts = centred @ axes[..., -3:].flip(-1)
    parts = parts * torch.where((parts**3).sum(-2, keepdim=True) < 0, -1.0, 1.0)
    low, high = parts.amin(-2, keepdim=True), parts.amax(-2, keepdim=True)
    return ((parts - low) / (high - low).clamp(min=1e-12)).float()


def seen_by(frame: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """A frame (S, S, 3) uint8, as bright as it is looked at: attention (h, w), its largest at full brightness."""
    light = _enlarged(attention[..., None] / max(float(attention.max()), 1e-12), len(frame))
    return np.rint(frame * (DARKEST + (1 - DARKEST) * light)).astype(np.uint8)


def coloured(frame: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A frame (S, S, 3) uint8 under a veil of colours (h, w, 3) in [0, 1]."""
    return np.rint((1 - VEIL) * frame + VEIL * 255 * _enlarged(colours, len(frame))).astype(np.uint8)


def boxed(frame: np.ndarray, boxes: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A frame (S, S, 3) uint8 with the outlines of boxes (P, 4), in fractions of it."""
    out, last = frame.copy(), len(frame) - 1
    for box in np.clip(boxes, 0, 1):
        x1, y1, x2, y2 = np.rint(box * last).astype(int).tolist()
        out[[y1, y2], x1 : x2 + 1] = colour
        out[y1 : y2 + 1, [x1, x2]] = colour
    return out


def _enlarged(cells: np.ndarray, side: int) -> np.ndarray:
    """(h, w, C) float in [0, 1] -> (side, side, C), smooth."""
    small = torch.from_numpy(np.ascontiguousarray(cells, np.float32)).permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(small, (side, side), mode="bilinear", align_corners=False)
    return large[0].permute(1, 2, 0).numpy()
