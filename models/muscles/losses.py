"""What gaze and movement cost where they are known; a batch in which nothing is known costs nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaze_loss(predicted: Tensor, gaze: Tensor, valid: Tensor) -> Tensor:
    """Mean Huber loss (delta 1, eq. 1) over both coordinates of the valid frames; 0 where none is.

    Args:
        predicted, gaze: (B, T, 2).
        valid: (B, T) bool.
    """
    each = F.smooth_l1_loss(predicted.float(), torch.where(valid[..., None], gaze, 0), reduction="none")
    return _masked_mean(each, valid[..., None].expand_as(each))


def move_loss(logits: Tensor, move: Tensor, valid: Tensor) -> Tensor:
    """Mean binary cross entropy over the valid labels; 0 where none is. All are (B, T, G)."""
    each = F.binary_cross_entropy_with_logits(logits.float(), move, reduction="none")
    return _masked_mean(each, valid)


def _masked_mean(each: Tensor, valid: Tensor) -> Tensor:
    return torch.where(valid, each, 0).sum() / valid.sum().clamp(min=1)
